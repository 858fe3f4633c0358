"""The PyTorch side of a benchmark row. Speaks the JSON lines of worker.ts."""
import json
import sys
import time

import torch
import torch.nn.functional as F

torch.set_num_threads(int(sys.argv[1]))


def model_work(row):
    from timm.models.vision_transformer import VisionTransformer

    vit, batch, bf16 = row["vit"], row["batch"], row["precision"] == "bf16"
    model = VisionTransformer(
        img_size=vit["imgSize"], patch_size=vit["patchSize"], embed_dim=vit["embedDim"],
        depth=vit["depth"], num_heads=vit["numHeads"], num_classes=vit["numClasses"],
    )
    images = torch.randn(batch, 3, vit["imgSize"], vit["imgSize"])
    labels = torch.randint(0, vit["numClasses"], (batch,))
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)

    def loss():
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            return F.cross_entropy(model(images), labels)

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
        run()
        say({"ready": True, "firstMs": first, "version": torch.__version__})
    elif "rounds" in message:
        say({"ms": [timed(run) for _ in range(message["rounds"])]})
    elif "end" in message:
        say({"peakBytes": peak_bytes()})
        break
