"""Two processes on the CPU train as one does with the same examples; see `two_processes.py`."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from two_processes import SCENARIOS, NormAndActivation, run

from hfaudio.training.synchronized_batch_norm import synchronize_batch_norms

Left = dict[str, tuple[dict[str, Any], list[dict[str, Any]]]]


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Left:
    """What each scenario left: of one process, and of two."""
    folder = tmp_path_factory.mktemp("processes")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += [str(Path(__file__).with_name("two_processes.py")), str(folder / "two"), *SCENARIOS]
    two = subprocess.Popen(
        command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for scenario in SCENARIOS:
        run(str(folder / "one"), scenario)
    torch.set_num_threads(threads)
    printed, _ = two.communicate(timeout=300)
    assert two.returncode == 0, printed[-3000:]

    def read(name: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
        return content

    return {name: (read(f"one-{name}-0"), [read(f"two-{name}-{rank}") for rank in (0, 1)]) for name in SCENARIOS}


@pytest.mark.parametrize("scenario", [name for name in SCENARIOS if name != "apart"])
def test_two_processes_train_as_one_does(left: Left, scenario: str) -> None:
    one, (first, second) = left[scenario]
    assert first["losses"] == pytest.approx(one["losses"], abs=1e-4)
    assert len(one["losses"]) > 1
    assert first["weights"] == second["weights"]
    if scenario != "short stream":  # of a single example, which the second process has again
        assert first["weights"] == pytest.approx(one["weights"], rel=1e-4, abs=1e-4)
        assert first["eval_loss"] == pytest.approx(one["eval_loss"], abs=1e-4)


def test_without_it_they_do_not(left: Left) -> None:
    one, (first, second) = left["apart"]
    assert max(abs(a - b) for a, b in zip(one["losses"], first["losses"], strict=True)) > 1e-3
    assert first["weights"] != second["weights"]


def test_the_examples_are_shared_out_and_none_is_filled_in(left: Left) -> None:
    one, (first, second) = left["epochs"]
    assert [a + b for a, b in zip(first["seen"], second["seen"], strict=True)] == one["seen"]
    assert sorted(index for batch in first["seen"][:3] + second["seen"][:3] for index in batch) == list(range(21))
    assert [len(batch) for batch in one["seen"][:3]] == [8, 8, 5]


def test_a_stream_that_knows_nothing_of_processes_is_shared_out(left: Left) -> None:
    one, (first, second) = left["stream"]
    assert one["seen"][:2] == [list(range(8)), list(range(8, 13))]
    assert first["seen"][:2] == [[0, 1, 2, 3], [8, 9]]
    assert second["seen"][:2] == [[4, 5, 6, 7], [10, 11, 12]]
    assert one["epochs"] == first["epochs"] == [0, 1]
    assert all(rank["seen"] == [[0], [0]] for rank in left["short stream"][1])


def test_each_recording_is_evaluated_once(left: Left) -> None:
    one, (first, _) = left["epochs"]
    assert first["evaluated"] == 21
    assert first["eval_labels"] == one["eval_labels"]


def test_a_single_process_and_what_is_saved_stay_as_they_are(toy_model) -> None:
    plain, hooked = toy_model(), toy_model()
    for _ in range(2):  # once is enough
        synchronize_batch_norms(hooked)
    assert hooked.state_dict().keys() == plain.state_dict().keys()
    assert [type(module) for module in hooked.modules()] == [type(module) for module in plain.modules()]
    features = torch.randn(3, 1, 8, 8)
    logits = []
    for model in (plain, hooked):
        torch.manual_seed(0)  # of the dropout
        logits.append(model.train()(features).logits)
    assert torch.equal(*logits)


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("kind", [nn.BatchNorm2d, NormAndActivation])
def test_the_hooks_compute_what_a_batch_norm_does(kind, momentum, monkeypatch) -> None:
    """With two processes of which the other one has the same batch, so that the sums are twice as large."""
    plain, hooked = kind(3, momentum=momentum), kind(3, momentum=momentum)
    synchronize_batch_norms(hooked)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda tensor: tensor.mul_(2))
    with torch.no_grad():
        for module in (plain, hooked):
            module.weight.copy_(torch.tensor([0.5, 1.0, 2.0]))
            module.bias.copy_(torch.tensor([0.1, 0.0, -0.3]))
    for step in range(2):
        features = torch.randn(4, 3, 5, 6, generator=torch.Generator().manual_seed(step)) * 3 + 7
        doubled = torch.cat([features, features]).requires_grad_()
        own = features.clone().requires_grad_()
        expected, found = plain(doubled), hooked(own)
        torch.testing.assert_close(found, expected[:4], rtol=1e-4, atol=1e-4)
        expected.square().sum().backward()
        found.square().sum().backward()
        torch.testing.assert_close(own.grad, doubled.grad[:4], rtol=1e-3, atol=1e-3)
        for name, value in plain.state_dict().items():
            torch.testing.assert_close(hooked.state_dict()[name], value, rtol=1e-4, atol=1e-5)
        assert hooked.training
    torch.testing.assert_close(hooked.eval()(features), plain.eval()(features), rtol=1e-4, atol=1e-4)


def test_a_forward_that_fails_leaves_the_statistics(monkeypatch) -> None:
    hooked = nn.BatchNorm2d(3)
    synchronize_batch_norms(hooked)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda tensor: tensor.mul_(2))
    with pytest.raises(ValueError, match="expected 4D input"):
        hooked(torch.ones(2, 3))
    assert hooked.training
    torch.testing.assert_close(hooked.running_mean, torch.full((3,), 0.1))
