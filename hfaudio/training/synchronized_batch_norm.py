"""Batch statistics over the batches of all processes, on any device."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["synchronize_batch_norms"]

STANDARD = "_before_synchronized_forward"  # what a module has while its forward runs


class _SumOverProcesses(torch.autograd.Function):
    """A sum that each process has, and whose gradient is the sum of what all do with it."""

    @staticmethod
    def forward(context: Any, tensor: Tensor) -> Tensor:
        """Adds up the tensors of all processes."""
        total = tensor.detach().clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        """Adds up their gradients."""
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total)
        return total


def synchronize_batch_norms(model: nn.Module) -> None:
    """Lets every batch norm take its statistics over the batches of all processes while it trains.

    The step is then that of one process with all of their examples, whatever their numbers, as long as all are padded
    to one length. `torch.nn.SyncBatchNorm` does the same on a GPU alone, and as another class; here hooks do it, so
    that classes, names and weights stay what is saved, and what timm makes of a batch norm (`BatchNormAct2d`) works
    too. Evaluation is not changed, nor is a single process.

    Args:
        model: Its batch norms get the hooks, once.
    """
    for module in model.modules():
        if isinstance(module, _BatchNorm) and _normalize not in module._forward_pre_hooks.values():
            module.register_forward_pre_hook(_normalize)
            module.register_forward_hook(_restore, always_call=True)


def _normalize(module: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
    """Normalizes the input, and has the module's own forward do no more than scale, shift and what follows."""
    if not (module.training and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return None
    (features,) = inputs
    axes = [axis for axis in range(features.ndim) if axis != 1]
    shape = [-1 if axis == 1 else 1 for axis in range(features.ndim)]
    single = features.float()
    count = single.new_tensor([features.numel() / features.shape[1]])
    totals: Any = _SumOverProcesses.apply(torch.cat([single.sum(axes), count]))
    number = totals[-1].detach()
    mean = totals[:-1] / number
    centred = single - mean.view(shape)
    squares: Any = _SumOverProcesses.apply(centred.square().sum(axes))
    variance = squares / number
    _update_running(module, mean.detach(), variance.detach(), number)
    normalized = (centred * torch.rsqrt(variance + module.eps).view(shape)).to(features.dtype)
    # With these the module's own normalization changes nothing.
    module.__dict__[STANDARD] = module._buffers["running_mean"], module._buffers["running_var"]
    module._buffers["running_mean"] = torch.zeros_like(mean)
    module._buffers["running_var"] = torch.full_like(variance, 1.0 - module.eps)
    module.training = False
    return (normalized,)


def _restore(module: Any, inputs: Any, output: Any) -> None:
    if STANDARD in module.__dict__:
        module._buffers["running_mean"], module._buffers["running_var"] = module.__dict__.pop(STANDARD)
        module.training = True


@torch.no_grad()
def _update_running(module: Any, mean: Tensor, variance: Tensor, number: Tensor) -> None:
    """As `torch.nn.BatchNorm2d` does."""
    if not module.track_running_stats:
        return
    module.num_batches_tracked.add_(1)
    share = 1.0 / float(module.num_batches_tracked) if module.momentum is None else module.momentum
    module.running_mean.lerp_(mean.to(module.running_mean.dtype), share)
    unbiased = variance * number / (number - 1.0).clamp(min=1.0)
    module.running_var.lerp_(unbiased.to(module.running_var.dtype), share)
