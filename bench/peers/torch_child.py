"""PyTorch on as many threads as the argument says, for bench/peers/torch.ts: one JSON request a line on stdin, one answer a line."""

import json
import sys
import time

import numpy as np
import torch
import torch.nn.functional as nn

torch.set_num_threads(int(sys.argv[1]))
print(json.dumps({"version": torch.__version__}), flush=True)

run, last = None, {}


def prepare(job):
    dtype = getattr(torch, job["dtype"])
    data = torch.from_numpy(np.fromfile(job["file"], dtype=np.float64)).to(dtype)
    sizes = [int(np.prod(shape)) for shape in job["shapes"]]
    x, w, b, dout = (t.reshape(s).clone() for t, s in zip(data.split(sizes), job["shapes"]))
    kind, size, window = job["kind"], job["size"], {"stride": job["stride"], "padding": job["pad"]}
    more = {"dilation": job["dilation"], "groups": job["groups"]}
    inputs = {"dx": x} if kind.endswith("Pool") else {"dx": x, "dw": w, "db": b}
    layer = {
        "conv": lambda: nn.conv2d(x, w, b, **window, **more),
        "convTranspose": lambda: nn.conv_transpose2d(x, w, b, **window, **more),
        "affine": lambda: torch.addmm(b, x.flatten(1), w.flatten(1)),
        "maxPool": lambda: nn.max_pool2d(x, size, **window),
        "averagePool": lambda: nn.avg_pool2d(x, size, **window, count_include_pad=False),
    }[kind]

    def forward():
        with torch.no_grad():
            return {"out": layer()}

    if job["direction"] == "fwd":
        return forward
    for t in inputs.values():
        t.requires_grad_()
    out = layer()

    def backward():
        return dict(zip(inputs, torch.autograd.grad(out, list(inputs.values()), dout.reshape(out.shape), retain_graph=True)))

    return backward


for line in sys.stdin:
    request = json.loads(line)
    if request["do"] == "prepare":
        run, last = prepare(request), {}
        answer = {}
    elif request["do"] == "results":
        last = run()
        flat = [t.detach().double().numpy().ravel() for t in last.values()]
        np.concatenate(flat).tofile(request["file"])
        answer = {"sizes": {name: t.numel() for name, t in last.items()}}
    else:
        times, end = [], time.perf_counter() + request["budget"] / 1000
        while True:
            start = time.perf_counter()
            last = run()
            now = time.perf_counter()
            times.append((now - start) * 1000)
            if now >= end:
                break
        answer = {"times": times}
    print(json.dumps(answer), flush=True)
