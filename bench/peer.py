"""The PyTorch side of a benchmark row, eager or with torch.compile. Speaks the JSON lines of worker.ts."""
import json
import sys
import time

import torch
import torch.nn.functional as F

torch.set_num_threads(int(sys.argv[1]))
COMPILE = sys.argv[2:] == ["compile"]


def model_work(row):
    from peer_models import build

    described, batch, bf16 = row["model"], row["batch"], row["precision"] == "bf16"
    model = build(row)
    forward = torch.compile(model) if COMPILE else model
    images = torch.randn(batch, 3, described["imgSize"], described["imgSize"])
    labels = torch.randint(0, described["numClasses"], (batch,))
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    # the fused kernels are the fastest that PyTorch has
    if row["optimizer"] == "adamw":
        optimizer = torch.optim.AdamW(trainable, 0.001, fused=True)
    else:
        optimizer = torch.optim.SGD(trainable, 0.001, momentum=0.9, fused=True)

    def loss():
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            return F.cross_entropy(forward(images), labels)

    def train():
        optimizer.zero_grad()
        value = loss()
        value.backward()
        optimizer.step()
        value.item()

    def infer():
        with torch.inference_mode():
            loss().item()

    if row["kind"] == "train":
        model.train()
        return train
    model.eval()
    return infer


def matmul_work(row):
    matrix = torch.randn(row["size"], row["size"])
    if row["precision"] == "bf16":
        matrix = matrix.bfloat16()

    def run():
        x = matrix
        for _ in range(8):
            x = matrix @ x
        x[0, 0].item()

    return run


def data_work(row, folder):
    import torchvision
    from torchvision.transforms import v2

    side = row["side"]
    transforms = v2.Compose([
        v2.RandomCrop(side, padding=4), v2.RandomHorizontalFlip(), v2.ToImage(), v2.ToDtype(torch.float32, scale=True),
        v2.Normalize([0.5] * 3, [0.25] * 3),
    ])
    dataset = torchvision.datasets.ImageFolder(folder + "/train", transforms)
    loader = torch.utils.data.DataLoader(
        dataset, batch_size=row["batch"], shuffle=True, num_workers=2, persistent_workers=True
    )

    def run():
        for _images, _labels in loader:
            pass

    return run


def prepare(message):
    row = message["row"]
    if row["kind"] == "data":
        return data_work(row, message["folder"])
    return matmul_work(row) if row["kind"] == "matmul" else model_work(row)


def timed(run):
    began = time.perf_counter()
    run()
    return 1e3 * (time.perf_counter() - began)


def say(message):
    print(json.dumps(message), flush=True)


def peak_bytes():
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmHWM"):
                return 1024 * int(line.split()[1])
    return 0


run = None
for line in sys.stdin:
    message = json.loads(line)
    if "row" in message:
        run = prepare(message)
        first = timed(run)
        say({"ready": True, "firstMs": first, "secondMs": timed(run), "version": torch.__version__})
    elif "rounds" in message:
        say({"ms": [timed(run) for _ in range(message["rounds"])]})
    elif "end" in message:
        say({"peakBytes": peak_bytes()})
        break
