"""The recipe "fast" of `deno task cifar10` in PyTorch, to be trained, or timed by `deno task bench:fast`.

    python3 bench/torch_fast.py --data FOLDER --threads 2

Source: Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU" (2024), arXiv 2404.00498.
FOLDER holds cifar-10-batches-bin, CIFAR-10's binary files.
"""

import argparse
import json
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

MOMENTUM, RATE, DECAY, BIAS_SCALE = 0.85, 11.5, 0.0153, 64
# How much larger a step of Nesterov's momentum is than its gradient.
PER_UPDATE = 1 + 1 / (1 - MOMENTUM)


def read(folder, names):
    """Images as (N, 3, 32, 32) from 0 to 255, and their labels."""
    records = np.concatenate(
        [np.fromfile(f"{folder}/cifar-10-batches-bin/{name}.bin", np.uint8).reshape(-1, 3073) for name in names]
    )
    x = torch.from_numpy(records[:, 1:].reshape(-1, 3, 32, 32).astype(np.float32))
    return x, torch.from_numpy(records[:, 0].astype(np.int64))


def conv(inputs, outputs):
    layer = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    nn.init.dirac_(layer.weight.data[:inputs])
    return layer


def norm(channels):
    layer = nn.BatchNorm2d(channels, eps=1e-12, momentum=0.4)
    layer.weight.requires_grad = False
    return layer


def block(inputs, outputs):
    first = [conv(inputs, outputs), nn.MaxPool2d(2), norm(outputs), nn.GELU()]
    return first + [conv(outputs, outputs), norm(outputs), nn.GELU()]


class Scale(nn.Module):
    def forward(self, x):
        return x / 9


def whitened(x):
    """A 2x2 convolution whose outputs are whitened patches and their negatives."""
    layer = nn.Conv2d(3, 24, 2)
    patches = F.unfold(x[:5000], 2).transpose(1, 2).reshape(-1, 12)
    values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
    filters = (vectors / torch.sqrt(values + 5e-4)).T.reshape(12, 3, 2, 2).flip(0)
    layer.weight.data[:] = torch.cat((filters, -filters))
    layer.weight.requires_grad = False
    return layer


def make_net(x):
    layers = [whitened(x), nn.GELU(), *block(24, 64), *block(64, 256), *block(256, 256)]
    return nn.Sequential(*layers, nn.MaxPool2d(3), nn.Flatten(), nn.Linear(256, 10, bias=False), Scale())


def shifted(x, pad, size=32):
    """Each image at a random place within its padding."""
    moves = torch.randint(0, 2 * pad + 1, (2, len(x)))
    rows = (moves[0, :, None] + torch.arange(size))[:, None, :, None]
    columns = (moves[1, :, None] + torch.arange(size))[:, None, None, :]
    n = torch.arange(len(x))[:, None, None, None]
    return F.pad(x, (pad,) * 4, "reflect")[n, torch.arange(3)[None, :, None, None], rows, columns]


def test_scores(net, x):
    """The mean over mirrored and shifted images."""
    def both(x):
        return (net(x) + net(x.flip(-1))) / 2
    padded = F.pad(x, (1,) * 4, "reflect")
    return both(x) / 2 + (both(padded[:, :, :32, :32]) + both(padded[:, :, 2:, 2:])) / 4


def accuracy(net, x, y):
    net.eval()
    with torch.no_grad():
        best = torch.cat([test_scores(net, part).argmax(1) for part in x.split(500)])
    net.train()
    return (best == y).float().mean().item()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="data")
    parser.add_argument("--batch", type=int, default=250)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--ask", action="store_true", help="run as many iterations as each line of the input says")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)

    x, y = read(options.data, [f"data_batch_{i}" for i in range(1, 6)])
    x_test, y_test = read(options.data, ["test_batch"])
    x, y = x[:49_000], y[:49_000]
    mean, deviation = x.mean((0, 2, 3), keepdim=True), x.std((0, 2, 3), keepdim=True)
    x, x_test = (x - mean) / deviation, (x_test - mean) / deviation
    net = make_net(x)

    batch, rate = options.batch, RATE / PER_UPDATE * options.batch / 1024
    biases = [p for name, p in net.named_parameters() if p.requires_grad and p.ndim == 1 and not name.startswith("0.")]
    ids = {id(p) for p in biases}
    others = [p for p in net.parameters() if p.requires_grad and id(p) not in ids]
    # The decay goes through the momentum here as in the paper.
    optimizer = torch.optim.SGD(
        [
            dict(params=biases, lr=rate * BIAS_SCALE, weight_decay=DECAY / RATE / BIAS_SCALE),
            dict(params=others, lr=rate, weight_decay=DECAY / RATE),
        ],
        momentum=MOMENTUM,
        nesterov=True,
    )
    per_epoch = len(x) // batch
    steps = per_epoch * options.epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda i: float(np.interp(i, [0, int(0.23 * steps), steps], [0.2, 1, 0.07]))
    )
    slow = {name: value.clone() for name, value in net.state_dict().items()}
    every = round(5 * 1024 / batch)
    mirrored = torch.rand(len(x)) < 0.5
    done, start, times = 0, time.time(), []
    wanted = int(input()) if options.ask else steps
    while done < steps:
        order = torch.randperm(len(x))
        mirrored = ~mirrored
        for i in range(per_epoch):
            began = time.time()
            pick = order[i * batch : (i + 1) * batch]
            inputs = x[pick]
            inputs = torch.where(mirrored[pick][:, None, None, None], inputs.flip(-1), inputs)
            loss = F.cross_entropy(net(shifted(inputs, 2)), y[pick], label_smoothing=0.2)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            done += 1
            if done % every == 0 or done == steps:
                decay = 1 if done == steps else 0.95**5 * (done / steps) ** 3
                for name, value in net.state_dict().items():
                    if value.is_floating_point():
                        slow[name].lerp_(value, 1 - decay)
                        value.copy_(slow[name])
            times.append(time.time() - began)
            if options.ask and len(times) == wanted:
                print(json.dumps(times), flush=True)
                times, wanted = [], int(input())
        print(f"epoch {done // per_epoch}: median {np.median(times):.3f} s, {time.time() - start:.0f} s in all", flush=True)
    print(f"test accuracy {100 * accuracy(net, x_test, y_test):.2f} %")


main()
