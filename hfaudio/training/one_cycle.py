"""The one-cycle schedule of learning rate and momentum, which transformers does not have."""

from collections.abc import Sequence

from torch.optim import Optimizer
from torch.optim.lr_scheduler import OneCycleLR

__all__ = ["one_cycle"]

FEWEST_STEPS = 3


def one_cycle(
    optimizer: Optimizer,
    total_steps: int,
    max_learning_rates: Sequence[float] | None = None,
    rising_share: float = 0.3,
    momentum: tuple[float, float] = (0.85, 0.95),
) -> OneCycleLR:
    """Makes torch's schedule in which the learning rate rises once and falls to nearly nothing.

    After Smith and Topin 2017 (arXiv:1708.07120): from a 25th of the highest rate up, then down to a 250 000th of it,
    along half cosines. The momentum (beta1 of the Adam family) goes the other way, where the optimizer has one.

    Args:
        optimizer: Its parameter groups may have rates of their own.
        total_steps: Optimizer steps of the run, at least 3.
        max_learning_rates: Highest rate of each parameter group; None for those that the groups have now.
        rising_share: Share of the steps in which the rate rises, in (0, 1).
        momentum: Lowest and highest; the lowest comes with the highest rate.

    Raises:
        ValueError: There are too few steps, the share lies outside its bounds, or a group has no rate.
    """
    if total_steps < FEWEST_STEPS:
        raise ValueError(
            f"One cycle needs at least {FEWEST_STEPS} steps, found {total_steps}; train longer, or choose another "
            "schedule."
        )
    if not 0.0 < rising_share < 1.0:
        raise ValueError(f"rising_share must be above 0 and below 1, found {rising_share!r}.")
    groups = optimizer.param_groups
    if max_learning_rates is None:
        # An optimizer that has been through a cycle keeps the highest rate beside the last one.
        max_learning_rates = [group.get("max_lr", group["lr"]) for group in groups]
    if len(max_learning_rates) != len(groups):
        raise ValueError(
            f"max_learning_rates must hold one rate for each of the {len(groups)} parameter groups, found "
            f"{len(max_learning_rates)}."
        )
    # torch divides by the steps of the rise less one.
    rising_steps = min(max(2.0, rising_share * total_steps), total_steps - 1.0)
    lowest, highest = momentum
    return OneCycleLR(
        optimizer,
        list(max_learning_rates),
        total_steps=total_steps,
        pct_start=rising_steps / total_steps,
        cycle_momentum=bool(optimizer.defaults.get("momentum") or optimizer.defaults.get("betas")),
        base_momentum=lowest,
        max_momentum=highest,
    )
