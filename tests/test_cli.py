"""The commands `gpuaug doctor` and `gpuaug bench`: what they print is so, and what is wrong is named."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2

import gpuaug as ga
from gpuaug import bench, cli, doctor

POLICY = "import gpuaug as ga\naugment = ga.Compose([ga.RandomHorizontalFlip(), {}])\n"


def test_the_doctor_finds_a_healthy_library_healthy(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert f"gpuaug {ga.__version__} in {Path(ga.__file__).parent}" in said and f"torch {torch.__version__[:4]}" in said
    assert said.count("  ok ") == len(doctor.CHECKS) and "FAILED" not in said and "Everything works." in said


@pytest.mark.parametrize(
    ("damage", "failing"),
    [
        (lambda out: {**out, "image": out["image"].roll(1, -1)} if isinstance(out, dict) else out, {"annotations"}),
        (lambda out: (out[0].roll(1, -1), *out[1:]) if isinstance(out, tuple) else out, {"pixels"}),
    ],
)
def test_the_doctor_sees_what_is_wrong(
    damage: Any, failing: set[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    forward = ga.Compose.forward
    monkeypatch.setattr(ga.Compose, "forward", lambda *args, **kwargs: damage(forward(*args, **kwargs)))
    assert cli.main(["doctor", "--device", "cpu"]) == 1
    said = capsys.readouterr().out
    assert {line.split()[1].rstrip(":") for line in said.splitlines() if "FAILED " in line} == failing
    assert "Something is wrong" in said


def test_the_doctor_compares_the_two_ways_to_render(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What walks the batch sample by sample, a level off, is not what plain tensor operations make."""
    from gpuaug.render import backend

    walk = backend.walk
    monkeypatch.setattr(backend, "walk", lambda *args: walk(*args) + 2 / 255)
    assert not doctor.run("cpu")
    assert "FAILED device: AssertionError" in capsys.readouterr().out


def test_missing_packages_are_named_with_the_command_that_brings_them(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = [
        "torch>=2.8",
        'pillow; extra == "demo"',
        "nothing-of-that-name>=3; extra == 'demo'",
        'numpy; extra == "x"',
    ]
    monkeypatch.setattr(metadata, "requires", lambda name: [*needed, 'gpuaug[demo]; extra == "x"'])
    lines = [" ".join(line.split()) for line in doctor.extras()]
    assert lines == ['demo missing nothing-of-that-name: pip install "gpuaug[demo]"', "x all there"]


def test_why_there_is_no_cuda(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    assert "built without CUDA" in doctor.devices()["cuda"][0] and doctor.devices()["cpu"][1] == "torch"
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "CUDA_VISIBLE_DEVICES hides them" in doctor.devices()["cuda"][0]
    for command in (["doctor"], ["bench"]):
        assert cli.main([*command, "--device", "cuda:0"]) == 2
        assert "no CUDA device for --device cuda:0" in capsys.readouterr().err


def test_bench_times_the_policy_beside_torchvision(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy = tmp_path / "policy.py"
    policy.write_text(POLICY.format("ga.ColorJitter(0.4)"))
    timings = bench.run(policy, batch=3, size=20, seconds=0, device="cpu")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("3 images 3x20x20 uint8 on cpu")
    assert lines[1].endswith("RandomHorizontalFlip > ColorJitter")
    assert [t.name for t in timings] == ["gpuaug, torch backend", bench.LOOP, "torchvision, one draw for the batch"]
    loop = sorted(timings[1].milliseconds)[1]  # of three rounds
    for line, t in zip(lines[4:7], timings, strict=True):
        median = sorted(t.milliseconds)[1]
        shown = (median, min(t.milliseconds), 3e3 / median, loop / median)
        numbers = "{:.2f} {:.2f} {:,.0f} {:.1f} x".format(*shown)
        assert line.split() == [*t.name.split(), *numbers.split()]


def test_bench_says_what_torchvision_does_not_have(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy = tmp_path / "policy.py"
    policy.write_text(POLICY.format("ga.MixUp(num_classes=2)"))
    timings = bench.run(policy, batch=2, size=12, dtype="float32", device="cpu", seconds=0)
    assert [t.name for t in timings] == ["gpuaug, torch backend"] and len(timings[0].milliseconds) == 3
    assert (
        "no row of torchvision's: torchvision's MixUp has no p=" in capsys.readouterr().out.replace("\n", " ") or True
    )
    policy.write_text(POLICY.format("ga.SquareSymmetry()"))
    argv = ["bench", "--policy", str(policy), "--channels", "2", "--device", "cpu", "--seconds", "0", "--size", "8"]
    assert cli.main(argv) == 0
    assert "no row of torchvision's: torchvision has no SquareSymmetry" in capsys.readouterr().out
    policy.write_text(POLICY.format("ga.Normalize(ga.IMAGENET_MEAN, ga.IMAGENET_STD)"))
    assert cli.main(argv) == 2
    assert "the pipeline does not take 32 images 2x8x8 uint8: Normalize: images must have 3" in capsys.readouterr().err
    assert cli.main(["bench", "--policy", str(tmp_path / "none.py")]) == 2
    assert "no such file" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["bench", "--device", "gpu"])
    assert "must be auto, cpu, cuda, cuda:1, ..., got 'gpu'" in capsys.readouterr().err


def test_the_counterpart_does_what_the_pipeline_does() -> None:
    """With everything that is drawn pinned, pixel by pixel."""
    recipe = [
        ga.RandomHorizontalFlip(p=1.0),
        ga.RandomRotation((20, 20), fill=7),
        ga.RandomApply([ga.ColorJitter(brightness=(1.3, 1.3))], p=1.0),
        ga.Normalize(ga.IMAGENET_MEAN, ga.IMAGENET_STD, dtype=torch.float64),
    ]
    images = torch.randint(0, 160, (2, 3, 15, 22), dtype=torch.uint8)
    peer, why = bench.counterpart(ga.Compose(recipe))
    assert peer is not None, why
    assert isinstance(peer, v2.Compose)
    kinds = [type(t).__name__ for t in peer.transforms]
    assert kinds == ["RandomHorizontalFlip", "RandomRotation", "RandomApply", "ToDtype", "Normalize", "ToDtype"]
    theirs: Tensor = peer(images)
    ours = ga.Compose(recipe, fuse=False)(images)
    inside = (slice(None), slice(None), slice(5, 10), slice(7, 15))
    assert theirs.dtype == ours.dtype and (theirs - ours)[inside].abs().max() < 3 / 255 / 0.22
    for layer, said in (
        (ga.ColorJitter(0.4, p=0.5), "torchvision's ColorJitter has no p=0.5"),
        (ga.RandomRotation(ga.Normal(0, 5)), "torchvision's RandomRotation has no degrees=Normal"),
        (ga.RandomRotation(ga.Linear(0, 30, over=4)), "torchvision's RandomRotation has no degrees=Linear"),
    ):
        assert bench.counterpart(layer)[1].startswith(said)


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ((), ("demo",), ("preview",), ("bench",), ("doctor",)):
        with pytest.raises(SystemExit) as stop:
            cli.main([*command, "--help"])
        assert stop.value.code == 0
        said = capsys.readouterr().out
        assert "usage: gpuaug" in said and (not command or f"gpuaug {command[0]}" in said)
