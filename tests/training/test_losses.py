import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, one_hot

from hfaudio.training.losses import FocalLoss, binary_focal_loss, focal_loss

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.1, 0.2, 0.3], [-3.0, 4.0, 0.0], [0.0, 0.0, 0.0]])
LABELS = torch.tensor([0, 2, 0, 1])
ONE_HOT = one_hot(LABELS, 3).float()


def test_gamma_zero_is_the_cross_entropy() -> None:
    torch.testing.assert_close(focal_loss(LOGITS, ONE_HOT, gamma=0.0), cross_entropy(LOGITS, LABELS, reduction="none"))
    expected = cross_entropy(LOGITS, LABELS, label_smoothing=0.1)
    torch.testing.assert_close(FocalLoss(gamma=0.0, label_smoothing=0.1)({"logits": LOGITS}, LABELS), expected)
    torch.testing.assert_close(
        binary_focal_loss(LOGITS, ONE_HOT, gamma=0.0),
        binary_cross_entropy_with_logits(LOGITS, ONE_HOT, reduction="none").mean(dim=1),
    )


def test_focal_loss_is_equation_five_of_the_paper() -> None:
    alpha = torch.tensor([0.5, 1.0, 2.0])
    probability = LOGITS.softmax(-1)[range(4), LABELS]
    expected = -alpha[LABELS] * (1 - probability) ** 2 * probability.log()
    torch.testing.assert_close(focal_loss(LOGITS, ONE_HOT, 2.0, alpha), expected)


def test_easy_examples_weigh_less_as_gamma_grows() -> None:
    easy, hard = torch.tensor([[4.0, 0.0]]), torch.tensor([[-1.0, 0.0]])
    target = torch.tensor([[1.0, 0.0]])
    shares = [float(focal_loss(easy, target, gamma) / focal_loss(hard, target, gamma)) for gamma in (0.0, 1.0, 2.0)]
    assert shares[0] > 10 * shares[1] > 100 * shares[2]


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_gradients_are_finite_for_certain_predictions(gamma: float) -> None:
    logits = torch.tensor([[200.0, -200.0], [-200.0, 200.0]], requires_grad=True)
    target = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    (focal_loss(logits, target, gamma).sum() + binary_focal_loss(logits, target, gamma).sum()).backward()
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("labels", [LABELS, ONE_HOT, ONE_HOT * 0.7 + 0.1])
@pytest.mark.parametrize("multi_label", [False, True])
def test_parts_of_a_batch_add_up_to_the_whole(labels: torch.Tensor, multi_label: bool) -> None:
    if multi_label and labels.ndim == 1:
        labels = ONE_HOT
    loss = FocalLoss(gamma=1.5, alpha=torch.tensor([1.0, 2.0, 3.0]), label_smoothing=0.1, multi_label=multi_label)
    whole = loss({"logits": LOGITS}, labels)
    items = labels.numel()
    parts = sum(loss({"logits": LOGITS[i : i + 1]}, labels[i : i + 1], num_items_in_batch=items) for i in range(4))
    torch.testing.assert_close(parts, whole)


def test_half_precision_logits_are_taken_in_single_precision() -> None:
    loss = FocalLoss()({"logits": LOGITS.bfloat16()}, LABELS)
    assert loss.dtype == torch.float32


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"gamma": -0.1}, "gamma must be at least 0, found -0.1"),
        ({"label_smoothing": 1.0}, "label_smoothing must be at least 0 and below 1, found 1.0"),
    ],
)
def test_values_out_of_bounds_are_named(arguments: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        FocalLoss(**arguments)
