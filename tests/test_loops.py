"""The layer in the training loops that people have, with the libraries that they have."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import loops_libraries
import pytest
import torch
from loops_distributed import IMAGES, STEPS, Model, steps
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchvision.transforms.v2.functional import pil_to_tensor, to_pil_image

import gpuaug as ga
from gpuaug.offline import gather

pytestmark = pytest.mark.loops
HERE = Path(__file__).parent


TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def run(*arguments: str) -> subprocess.Popen[bytes]:
    """Start Python on the CPU, which finds what is beside this file."""
    path = os.pathsep.join((str(HERE.parent), str(HERE), os.environ.get("PYTHONPATH", "")))
    alone = {"PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, *arguments], env={**os.environ, **alone}, cwd=HERE)


# --- torch alone ---


def test_a_plain_loop_with_uint8_from_a_pinned_loader(photos: Tensor, device: torch.device) -> None:
    """What crosses to the device is uint8; what the net sees is normalised; validation is the same every time."""
    images = photos.cpu().repeat(4, 1, 1, 1)
    data = TensorDataset(images, torch.arange(16) % 4)
    loader = DataLoader(data, batch_size=8, collate_fn=ga.collate, pin_memory=device.type == "cuda")
    augment = ga.Compose(
        [ga.RandomResizedCrop(32), ga.RandomHorizontalFlip(), ga.Normalize(ga.IMAGENET_MEAN, ga.IMAGENET_STD)], seed=0
    )
    torch.manual_seed(0)
    net = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(48, 4)).to(device)
    optimiser = torch.optim.Adam(net.parameters(), lr=0.02)
    losses, scores = [], []
    for _ in range(8):
        augment.train()
        for batch, labels in loader:
            assert batch.dtype == torch.uint8 and batch.is_pinned() == (device.type == "cuda")
            batch, labels = augment(batch.to(device, non_blocking=True), labels.to(device, non_blocking=True))
            loss = nn.functional.cross_entropy(net(batch), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        augment.eval()
        with torch.no_grad():
            shown = torch.cat([augment(batch.to(device)) for batch, _ in loader])
        scores.append(shown)
    assert sum(losses[-4:]) < 0.6 * sum(losses[:4]), losses
    assert all(torch.equal(scores[0], one) for one in scores) and scores[0].abs().max() > 1


@pytest.mark.parametrize("compiled", [False, True])
def test_inside_a_sequential(compiled: bool) -> None:
    """One module from uint8 to the loss: gradients, `eval()`, checkpoint; traced as one graph too."""
    torch.manual_seed(0)
    augment = ga.Compose([ga.RandomAffine(20), ga.ColorJitter(0.4), ga.Normalize((0.5,) * 3, (0.25,) * 3)], seed=3)
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 11, 4))
    model = nn.Sequential(augment, net)
    call: Any = torch.compile(model, backend="eager", fullgraph=True) if compiled else model
    images, labels = (IMAGES * 255).to(torch.uint8), torch.arange(12) % 4
    alone = ga.Compose(list(augment), seed=3)
    for _ in range(2):
        model.zero_grad()
        nn.functional.cross_entropy(call(images), labels).backward()
        weight = net[1].weight.detach().clone().requires_grad_()
        expected = alone(images).flatten(1) @ weight.T + net[1].bias.detach()
        nn.functional.cross_entropy(expected, labels).backward()
        assert (
            weight.grad is not None and (net[1].weight.grad - weight.grad).abs().max() < 2e-3 * weight.grad.abs().max()
        )
    model.eval()
    assert torch.allclose(call(images), net(images / 255 * 4 - 2), atol=1e-4)
    state = model.state_dict()
    model.train()
    first = model(images)
    model.load_state_dict(state)
    assert torch.equal(model(images), first), "the checkpoint holds the clock"


def test_under_autocast() -> None:
    """The layer keeps to its own precision; the net behind it computes in bfloat16."""
    augment = ga.Compose([ga.RandomAffine(20), ga.ColorJitter(0.4, hue=0.1)], seed=3)
    net = nn.Linear(3 * 8 * 11, 4)
    params = augment.sample(IMAGES)
    expected = augment.replay(IMAGES, params)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        shown = augment(IMAGES)
        out = net(shown.flatten(1))
    assert torch.equal(shown, expected) and shown.dtype == torch.float32 and out.dtype == torch.bfloat16
    out.float().square().mean().backward()
    assert net.weight.grad is not None and bool(net.weight.grad.isfinite().all())


def test_images_as_a_decoder_gives_them(photos: Tensor) -> None:
    """A list of (C, H, W) uint8 of several sizes, straight from JPEG files, becomes a batch for the net."""
    cut = [photos[i, :, : 90 + 10 * i, : 110 - 5 * i].cpu() for i in range(4)]
    images = []
    for image in cut:
        file = io.BytesIO()
        to_pil_image(image).save(file, format="JPEG", quality=95)
        images.append(pil_to_tensor(Image.open(file)))
    assert [image.shape for image in images] == [image.shape for image in cut]
    train = ga.Compose([ga.RandomResizedCrop(32, scale=(0.9, 1.0)), ga.RandomHorizontalFlip()], seed=0)
    batch, labels = train(images, torch.arange(4))
    assert batch.shape == (4, 3, 32, 32) and labels.tolist() == [0, 1, 2, 3]
    whole = ga.Resize((32, 32))
    near = torch.stack([whole(image).float() for image in cut])
    both = torch.stack((near, near.flip(-1)))
    gaps = (batch.float() - both).abs().mean((2, 3, 4)).amin(0)
    assert (gaps < 40).all(), "each is its own photograph, mirrored or not"


# --- several processes ---


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two processes of DDP and FSDP that torchrun starts, and one of Lightning and Accelerate."""
    folder = tmp_path_factory.mktemp("loops")
    running = [run(*TORCHRUN, "loops_distributed.py", str(folder)), run("loops_libraries.py", str(folder))]
    assert [process.wait(timeout=300) for process in running] == [0, 0]
    return folder


@pytest.fixture(scope="module")
def ranks(folder: Path) -> list[dict[str, Any]]:
    return [torch.load(folder / f"found{rank}.pt") for rank in (0, 1)]


@pytest.fixture(scope="module")
def libraries(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(folder / "libraries.pt")
    return found


def equal(a: list[Tensor], b: list[Tensor]) -> bool:
    return len(a) == len(b) and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_torchrun_starts_the_script_of_the_readme(ranks: list[dict[str, Any]]) -> None:
    """Two processes with halves of the data; a sample looks the same as in one process; the weights stay one."""
    assert all(found["TORCHELASTIC_RUN_ID"] and found["WORLD_SIZE"] == "2" for found in ranks)
    assert [found["LOCAL_RANK"] for found in ranks] == ["0", "1"]
    found = [one["readme"] for one in ranks]
    assert torch.equal(found[0]["weights"], found[1]["weights"])
    ids = torch.cat([one["ids"] for one in found])
    assert len(ids.unique()) == len(ids), "each rank has samples of its own"
    alone = ga.Compose([ga.RandomResizedCrop(64), ga.RandomHorizontalFlip(), ga.ColorJitter(0.4)], seed=0)
    alone.set_epoch(1)
    expected = alone(torch.cat([one["batch"] for one in found]), ids=ids)
    assert torch.equal(torch.cat([one["shown"] for one in found]), expected)


@pytest.mark.parametrize("mode", ["positions", "empty"])
def test_ddp_ranks_draw_what_their_number_says(ranks: list[dict[str, Any]], mode: str) -> None:
    """Although DDP broadcasts the buffers of rank 0; and a rank that has nothing to do in a step stays in step."""
    for rank, found in enumerate(ranks):
        augment = ga.Compose(list(Model().augment), seed=7, rank=rank)
        expected = [augment(IMAGES[torch.arange(12).roll(step)[rank::2]]) for step in range(STEPS)]
        if mode == "empty" and rank == 1:
            expected[1] = expected[1][:0]
        assert equal(found[mode]["seen"], expected)
    assert torch.equal(ranks[0][mode]["weights"], ranks[1][mode]["weights"])


def test_ranks_never_share_a_draw(ranks: list[dict[str, Any]]) -> None:
    """Of one seed, wherever and whenever (regressions 2.4); nothing but torch.distributed tells them apart."""
    angles = torch.cat([angles for found in ranks for angles in found["angles"]])
    assert len(angles) == 12 and len(angles.unique()) == 12


def test_ddp_with_ids_is_one_process(ranks: list[dict[str, Any]]) -> None:
    """The same images for the same ids, and with them the same weights."""
    one = Model()
    steps(one, 0, 1, "ids")
    for step in range(STEPS):
        ids = torch.arange(12).roll(step)
        for rank, found in enumerate(ranks):
            assert torch.equal(found["ids"]["seen"][step], one.seen[step][rank::2]), ids
    weight: Any = one.net[1].weight.detach()
    assert (weight - ranks[0]["ids"]["weights"]).abs().max() < 1e-6
    assert (weight - Model().net[1].weight).abs().max() > 1e-3  # type: ignore[operator]


def test_checkpoints_of_ddp_and_fsdp_go_on(ranks: list[dict[str, Any]]) -> None:
    """A state of the wrapped module; torch.distributed.checkpoint of a sharded one, whose draws are DDP's."""
    for found in ranks:
        assert equal(found["resumed"]["seen"], found["positions"]["seen"][2:])
        assert torch.equal(found["resumed"]["weights"], found["positions"]["weights"])
        assert equal(found["fsdp"]["seen"], found["positions"]["seen"])
        assert equal(found["fsdp resumed"]["seen"], found["positions"]["seen"][2:])
    weights = ranks[0]["fsdp"]["weights"]
    assert (weights - ranks[0]["positions"]["weights"]).abs().max() < 1e-6
    assert torch.equal(weights, ranks[0]["fsdp resumed"]["weights"])


def test_offline_work_over_ranks_goes_on_after_a_stop(folder: Path, ranks: list[dict[str, Any]]) -> None:
    """Six batches for two ranks that stop after one each; then the rest. All is there once, as one process makes it."""
    assert [found["offline"] for found in ranks] == [[1, 2], [1, 2]]
    made = gather(folder / "offline")
    assert made["id"].tolist() == list(range(12))
    augment = ga.Compose([ga.RandomAffine(20), ga.ColorJitter(0.4)], seed=3)
    assert torch.equal(made["view"], augment(IMAGES, ids=torch.arange(12)))
    flipped = IMAGES.flip(-1)
    half = (IMAGES[..., :5].mean((1, 2, 3)) + flipped[..., :5].mean((1, 2, 3))) / 2
    assert torch.allclose(made["label"], torch.stack((half, IMAGES.amax((1, 2, 3))), 1), atol=1e-6)
    names = sorted(path.name for path in (folder / "offline").iterdir())
    assert names == [*(f"{i:07d}.pt" for i in range(6)), "plan.json"], "nothing unfinished is left"


# --- Lightning, Accelerate ---


def test_lightning_augments_in_training_and_prepares_in_validation(libraries: dict[str, Any]) -> None:
    """`on_after_batch_transfer` is called for both; a checkpoint brings the clock back."""
    found = libraries["lightning"]
    prepared = loops_libraries.recipe().eval()(loops_libraries.IMAGES)
    assert len(found["whole"]["val"]) == 5 and len(found["whole"]["train"]) == 4
    for number, seen in enumerate(found["whole"]["val"][1:]):  # the first is the check before training
        assert torch.equal(seen, prepared[number % 2 * 6 :][:6])
    for number, seen in enumerate(found["whole"]["train"]):
        assert (seen - prepared[number % 2 * 6 :][:6]).abs().mean() > 0.1
    assert not torch.equal(found["whole"]["train"][0], found["whole"]["train"][2]), "each epoch draws anew"
    assert equal(found["rest"]["train"], found["whole"]["train"][2:])
    assert torch.equal(*found["weights"])


def test_accelerate_brings_the_clock_back(libraries: dict[str, Any]) -> None:
    found = libraries["accelerate"]
    assert len(found["whole"]["seen"]) == 3 and equal(found["rest"]["seen"], found["whole"]["seen"][1:])
    assert torch.equal(found["whole"]["weights"], found["rest"]["weights"])
