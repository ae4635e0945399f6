"""Head ablation as it is usually written: one forward pass a head, with hooks.

Every contender is a function (batch, layer, head) -> (B,) float64 mean response losses in nats;
head -1 ablates nothing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig

from circuitseer_core.model import demo
from circuitseer_core.model.batches import Batch
from circuitseer_core.model.reference import ReferenceModel

Losses = Callable[[Batch, int, int], Tensor]


def response_losses(logits: Tensor, batch: Batch) -> Tensor:
    """Mean response loss of every sample from full logits, as people write it."""
    picked = logits[batch.rows, batch.positions].float()
    losses = torch.nn.functional.cross_entropy(picked, batch.targets, reduction="none")
    sums = torch.zeros(batch.size, dtype=torch.float64).index_add_(
        0, batch.rows.cpu(), losses.double().cpu()
    )
    return sums / batch.counts


def plain_hooks(reference: ReferenceModel) -> Losses:
    """(b): hooks on v_proj and o_proj of one layer, one full forward pass a head."""
    model = reference.model
    config = model.config
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    group = config.num_attention_heads // config.num_key_value_heads

    def losses(batch: Batch, layer: int, head: int) -> Tensor:
        attention = reference.layers[layer].self_attn
        kept: dict[str, Tensor] = {}

        def keep_values(module: Any, args: Any, output: Tensor) -> None:
            kept["v"] = output

        def replace(module: Any, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            kv = head // group
            values = kept["v"][..., kv * width : (kv + 1) * width].float()
            counts = torch.arange(1, values.shape[1] + 1, device=values.device)[:, None]
            out = args[0].clone()
            out[..., head * width : (head + 1) * width] = (values.cumsum(1) / counts).to(out.dtype)
            return (out,)

        hooks = []
        if head >= 0:
            hooks.append(attention.v_proj.register_forward_hook(keep_values))
            hooks.append(attention.o_proj.register_forward_pre_hook(replace))
        ours = config._attn_implementation
        model.set_attn_implementation("sdpa")
        try:
            return response_losses(model(batch.ids, use_cache=False).logits, batch)
        finally:
            model.set_attn_implementation(ours)
            for hook in hooks:
                hook.remove()

    return losses


def transformer_lens(reference: ReferenceModel) -> Losses | None:
    """(a): TransformerBridge with a hook on the attention pattern; None where not installed."""
    try:
        from transformer_lens.model_bridge import TransformerBridge
    except ImportError:
        return None
    with tempfile.TemporaryDirectory() as made:
        folder, model = _eager_twin(reference, made)
        bridge = TransformerBridge.boot_transformers(
            folder, hf_model=model, tokenizer=reference.tokenizer
        )

    def losses(batch: Batch, layer: int, head: int) -> Tensor:
        def uniform(pattern: Tensor, hook: Any) -> Tensor:
            length = pattern.shape[-1]
            matrix = torch.ones(length, length, device=pattern.device).tril()
            pattern = pattern.clone()
            pattern[:, head] = (matrix / matrix.sum(-1, keepdim=True)).to(pattern.dtype)
            return pattern

        hooks = [(f"blocks.{layer}.attn.hook_pattern", uniform)] if head >= 0 else []
        return response_losses(bridge.run_with_hooks(batch.ids, fwd_hooks=hooks), batch)

    return losses


def _eager_twin(reference: ReferenceModel, made: str) -> tuple[str, Any]:
    """A model with the same weights and eager attention, and a folder with its configuration.

    Of a model without a folder (random weights) the configuration is written to ``made``, and the
    weights are shared.
    """
    from transformers import AutoModelForCausalLM

    if reference.name == "demo":
        folder = str(demo.model_folder())
        return folder, AutoModelForCausalLM.from_pretrained(
            folder, dtype=reference.dtype, attn_implementation="eager"
        )
    reference.model.config.save_pretrained(made)
    reference.tokenizer.save_pretrained(made)
    with reference.device:
        model = AutoModelForCausalLM.from_config(
            AutoConfig.from_pretrained(made), dtype=reference.dtype, attn_implementation="eager"
        )
    model.load_state_dict(reference.model.state_dict(), assign=True)
    return made, model.eval()
