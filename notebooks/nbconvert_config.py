# Deno's kernel may report a cell as done before the last of what the cell printed and showed has left
# it, and nbclient stops listening at that report. So listen on, until nothing has come for a while.
import asyncio

from nbclient.client import NotebookClient

QUIET_SECONDS = 0.25
until_done = NotebookClient._async_poll_output_msg


async def until_quiet(self, parent_msg_id, cell, cell_index):
    await until_done(self, parent_msg_id, cell, cell_index)
    while True:
        try:
            message = self.kc.iopub_channel.get_msg(timeout=None)
            message = await asyncio.wait_for(message, QUIET_SECONDS)
        except asyncio.TimeoutError:
            return
        if message["parent_header"].get("msg_id") == parent_msg_id:
            self.process_message(message, cell, cell_index)


NotebookClient._async_poll_output_msg = until_quiet

c = get_config()  # noqa: F821, nbconvert defines it
c.ExecutePreprocessor.iopub_timeout = 60
c.ExecutePreprocessor.record_timing = False
c.ExecutePreprocessor.timeout = 900
