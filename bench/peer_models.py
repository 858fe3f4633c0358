"""timm's models, tuned as ours are: the same mathematics, written the way PyTorch likes it."""
import torch
import torch.nn.functional as F
from timm.models.swin_transformer import SwinTransformer, window_partition, window_reverse
from timm.models.vision_transformer import VisionTransformer
from torch import nn


def build(row):
    described = row["model"]
    if described["family"] == "vit":
        model = VisionTransformer(
            img_size=described["imgSize"], patch_size=described["patchSize"], embed_dim=described["embedDim"],
            depth=described["depth"], num_heads=described["numHeads"], num_classes=described["numClasses"],
        )
    else:
        model = SwinTransformer(
            img_size=described["imgSize"], embed_dim=described["embedDim"], depths=described["depths"],
            num_heads=described["numHeads"], num_classes=described["numClasses"],
        )
    tuning = row.get("tuning")
    return model if tuning is None else TUNINGS[tuning["method"]](model, tuning)


def block_lists(model):
    return [stage.blocks for stage in model.layers] if isinstance(model, SwinTransformer) else [model.blocks]


def train_only(model, *parts):
    """Freezes what has none of the parts in its name."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(any(part in name for part in parts))
    return model


class MlpWithAdapter(nn.Module):
    """mlp(y) + scale · up(dropout(relu(down(y))))."""

    def __init__(self, mlp, dim, bottleneck, dropout):
        super().__init__()
        self.mlp = mlp
        self.adapter_down, self.adapter_up = nn.Linear(dim, bottleneck), nn.Linear(bottleneck, dim)
        self.adapter_scale = nn.Parameter(torch.ones(1, 1))
        self.dropout = nn.Dropout(dropout)

    def forward(self, y):
        adapted = self.adapter_up(self.dropout(F.relu(self.adapter_down(y)))) * self.adapter_scale
        return adapted + self.mlp(y)


def adaptformer(model, options):
    for blocks in block_lists(model):
        for block in blocks:
            block.mlp = MlpWithAdapter(block.mlp, block.norm2.weight.numel(), options["bottleneck"], options["dropout"])
    train_only(model, "adapter_", "head.")
    model.norm.requires_grad_(True)
    return model


class LoraLinear(nn.Module):
    def __init__(self, layer, r, alpha):
        super().__init__()
        self.layer, self.scaling = layer, alpha / r
        self.lora_a = nn.Linear(layer.in_features, r, bias=False)
        self.lora_b = nn.Linear(r, layer.out_features, bias=False)
        nn.init.zeros_(self.lora_b.weight)

    def forward(self, x):
        return self.layer(x) + self.lora_b(self.lora_a(x)) * self.scaling


def lora(model, options):
    for blocks in block_lists(model):
        for block in blocks:
            block.attn.qkv = LoraLinear(block.attn.qkv, options["r"], options["alpha"])
    return train_only(model, "lora_", "head.")


class Mona(nn.Module):
    """x + project2(gelu(op(project1(norm(x) · gamma + x · gammax)))) on maps `[B, H, W, C]`."""

    def __init__(self, dim, inner, dropout):
        super().__init__()
        self.gamma, self.gammax = nn.Parameter(torch.full([dim], 1e-6)), nn.Parameter(torch.ones(dim))
        self.norm = nn.LayerNorm(dim)
        self.project1, self.project2 = nn.Linear(dim, inner), nn.Linear(inner, dim)
        self.dropout = nn.Dropout(dropout)
        self.convs = nn.ModuleList([nn.Conv2d(inner, inner, k, padding=k // 2, groups=inner) for k in (3, 5, 7)])
        self.projector = nn.Conv2d(inner, inner, 1)

    def forward(self, x):
        # a view of the map with channels first keeps its memory as it is, which is the fast layout
        y = self.project1(self.norm(x) * self.gamma + x * self.gammax).permute(0, 3, 1, 2)
        mixed = (self.convs[0](y) + self.convs[1](y) + self.convs[2](y)) / 3 + y
        mixed = (mixed + self.projector(mixed)).permute(0, 2, 3, 1)
        return x + self.project2(self.dropout(F.gelu(mixed)))


class MonaBlock(nn.Module):
    def __init__(self, block, options):
        super().__init__()
        dim = block.norm1.weight.numel()
        self.block = block
        self.mona1 = Mona(dim, options["inner"], options["dropout"])
        self.mona2 = Mona(dim, options["inner"], options["dropout"])

    def forward(self, x):
        block = self.block
        x = self.mona1(x + block.drop_path1(block._attn(block.norm1(x))))
        return self.mona2(x + block.drop_path2(block.mlp(block.norm2(x))))


def mona(model, options):
    for blocks in block_lists(model):
        for i, block in enumerate(blocks):
            blocks[i] = MonaBlock(block, options)
    return train_only(model, "mona", "head.")


class PromptedViT(nn.Module):
    """Deep prompts behind the class token, others before every block."""

    def __init__(self, model, num_tokens):
        super().__init__()
        self.model = model
        self.prompts = nn.Parameter(torch.randn(len(model.blocks), num_tokens, model.embed_dim) * 0.02)

    def forward(self, images):
        model, count = self.model, self.prompts.shape[1]
        x = model._pos_embed(model.patch_embed(images))
        for i, block in enumerate(model.blocks):
            prompts = self.prompts[i].expand(x.shape[0], -1, -1)
            x = block(torch.cat([x[:, :1], prompts, x[:, 1 if i == 0 else 1 + count:]], 1))
        return model.forward_head(model.norm(x))


class PromptedSwinBlock(nn.Module):
    """Every window sees the prompts; each prompt takes the mean of what it gets in the windows of its own image."""

    def __init__(self, block):
        super().__init__()
        self.block = block

    def forward(self, x, prompts):
        block, count = self.block, prompts.shape[1]
        batch, height, width, channels = x.shape
        tokens = torch.cat([prompts, x.flatten(1, 2)], 1)
        tokens = tokens + block.drop_path1(self.attend(block.norm1(tokens), count, height, width))
        tokens = tokens + block.drop_path2(block.mlp(block.norm2(tokens)))
        return tokens[:, count:].reshape(batch, height, width, channels), tokens[:, :count]

    def attend(self, tokens, count, height, width):
        block = self.block
        batch, _, channels = tokens.shape
        prompts, x = tokens[:, :count], tokens[:, count:].reshape(batch, height, width, channels)
        shift, shifted = block.shift_size, any(block.shift_size)
        if shifted:
            x = torch.roll(x, (-shift[0], -shift[1]), (1, 2))
        windows = window_partition(x, block.window_size).flatten(1, 2)
        per_image = windows.shape[0] // batch
        repeated = prompts.unsqueeze(1).expand(-1, per_image, -1, -1).flatten(0, 1)
        mixed = self.attention(torch.cat([repeated, windows], 1), count)
        own = mixed[:, count:].reshape(-1, *block.window_size, channels)
        x = window_reverse(own, block.window_size, height, width)
        if shifted:
            x = torch.roll(x, shift, (1, 2))
        mean = mixed[:, :count].reshape(batch, per_image, count, channels).mean(1)
        return torch.cat([mean, x.flatten(1, 2)], 1)

    def attention(self, x, count):
        attn = self.block.attn
        rows, size, channels = x.shape
        q, k, v = attn.qkv(x).reshape(rows, size, 3, attn.num_heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        bias = F.pad(attn._get_rel_pos_bias(), (count, 0, count, 0))
        scores = (q * attn.scale) @ k.transpose(-2, -1) + bias
        if self.block.attn_mask is not None:
            mask = F.pad(self.block.attn_mask, (count, 0, count, 0))
            scores = scores.view(-1, mask.shape[0], attn.num_heads, size, size) + mask.unsqueeze(1).unsqueeze(0)
            scores = scores.view(-1, attn.num_heads, size, size)
        mixed = scores.softmax(-1) @ v
        return attn.proj(mixed.transpose(1, 2).reshape(rows, size, channels))


class PromptedSwin(nn.Module):
    def __init__(self, model, num_tokens):
        super().__init__()
        self.model = model
        self.prompts = nn.ParameterList()
        for blocks in block_lists(model):
            dim = blocks[0].norm1.weight.numel()
            self.prompts.append(nn.Parameter(torch.randn(len(blocks), num_tokens, dim) * 0.02))
            for i, block in enumerate(blocks):
                blocks[i] = PromptedSwinBlock(block)

    def forward(self, images):
        model = self.model
        x = model.patch_embed(images)
        for stage, prompts in zip(model.layers, self.prompts):
            x = stage.downsample(x)
            for own, block in zip(prompts, stage.blocks):
                x, _ = block(x, own.expand(x.shape[0], -1, -1))
        return model.forward_head(model.norm(x))


def vpt(model, options):
    prompted = PromptedSwin if isinstance(model, SwinTransformer) else PromptedViT
    return train_only(prompted(model, options["numTokens"]), "prompts", "head.")


TUNINGS = {"adaptformer": adaptformer, "lora": lora, "mona": mona, "vpt": vpt}
