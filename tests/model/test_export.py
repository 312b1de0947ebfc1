"""What torch does with a classifier as a whole: torch.export and torch.compile, in any batch and length."""

import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest
import torch

from hfaudio.model import SpectrogramCNNConfig, SpectrogramCNNForAudioClassification

WINDOWS = {"eval_window_frames": 20, "eval_window_hop_frames": 10}
SHAPES = ((2, 30), (1, 64), (3, 41), (5, 12))  # clips and frames; the first is the example


@pytest.fixture(params=[{}, WINDOWS], ids=["whole", "windows"])
def classifier(request: pytest.FixtureRequest) -> SpectrogramCNNForAudioClassification:
    torch.manual_seed(0)
    config = SpectrogramCNNConfig(hidden_sizes=[4, 8], depths=[1, 1], num_labels=3, **request.param)
    model = SpectrogramCNNForAudioClassification(config).eval()
    torch.nn.init.normal_(model.classifier.weight)
    return model


def inputs(clips: int, frames: int) -> dict[str, torch.Tensor]:
    """Features, and a mask that hides more of each further clip."""
    generator = torch.Generator().manual_seed(frames)
    valid = torch.arange(frames, frames - 3 * clips, -3).clamp(min=1)
    return {
        "input_features": torch.randn(clips, 1, 16, frames, generator=generator),
        "attention_mask": (torch.arange(frames) < valid[:, None]).long(),
    }


@torch.no_grad()
def test_what_is_exported_scores_the_same(classifier) -> None:
    batch, frames = torch.export.Dim("batch"), torch.export.Dim("frames", min=5, max=4_096)
    program = torch.export.export(
        classifier,
        (),
        {**inputs(*SHAPES[0]), "return_dict": False},
        dynamic_shapes={
            "input_features": {0: batch, 3: frames},
            "attention_mask": {0: batch, 1: frames},
            "return_dict": None,
        },
    )
    exported = program.module()
    for shape in SHAPES:
        logits = exported(**inputs(*shape), return_dict=False)[0]
        torch.testing.assert_close(logits, classifier(**inputs(*shape)).logits)


@torch.no_grad()
def test_it_compiles_as_one_graph(classifier) -> None:
    torch.compiler.reset()
    compiled = torch.compile(classifier, backend="aot_eager", fullgraph=True, dynamic=True)
    for shape in SHAPES:
        torch.testing.assert_close(compiled(**inputs(*shape)).logits, classifier(**inputs(*shape)).logits)


@torch.no_grad()
@pytest.mark.parametrize("classifier", [{}], ids=["whole"], indirect=True)
def test_what_is_compiled_to_machine_code_scores_the_same(classifier, tmp_path, monkeypatch) -> None:
    if (reason := missing_compiler(tmp_path)) is not None:
        pytest.skip(reason)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    torch.compiler.reset()
    compiled = torch.compile(classifier)
    given = inputs(*SHAPES[0])
    torch.testing.assert_close(compiled(**given).logits, classifier(**given).logits, atol=1e-4, rtol=1e-4)


def missing_compiler(folder: Path) -> str | None:
    """Why torch.compile cannot make machine code here, or None."""
    if (compiler := shutil.which("g++") or shutil.which("clang++")) is None:
        return "no C++ compiler is installed"
    source = folder / "probe.cpp"
    source.write_text("#include <Python.h>\n#include <cmath>\nint main() { return 0; }\n")
    command = [
        compiler,
        f"-I{sysconfig.get_path('include')}",
        "-fopenmp",
        "-c",
        str(source),
        "-o",
        str(folder / "probe.o"),
    ]
    run = subprocess.run(command, check=False, capture_output=True, text=True)
    return None if run.returncode == 0 else f"{compiler} does not compile: {run.stderr.splitlines()[0]}"
