"""What the headers of a checkpoint's files say of its weights: tensors, elements, bytes; no weight is read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import attrs

from suanli.errors import clip

if TYPE_CHECKING:
    from suanli.models import Model

MOST_BYTES = 2**60
"""No tensor is larger; a header that says so is wrong."""


@attrs.frozen
class Entry:
    """A tensor of a file.

    Attributes:
        name: As the file has it.
        dtype: As the file calls it, such as ``"BF16"`` or ``"Q4_K"``.
        shape: Sizes, in the file's order.
        elements: Weights it holds, packed ones unpacked.
        bytes: It takes in the file.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    elements: int
    bytes: int


@attrs.frozen(kw_only=True)
class Checkpoint:
    """The weights of a checkpoint, from the headers of its files.

    Attributes:
        kind: ``"safetensors"`` or ``"gguf"``.
        files: How many there are.
        tensors: How many they hold.
        bytes: Of all tensors.
        parameters: Weights of the model itself; None where only the index was there.
        weight_bytes: Of those weights, their scales and zeros included; None where only the index was there.
        corrections: Numbers that correct routers' scores.
        by_format: Bytes by the type the file names.
        aside: Bytes of what no count of the model has: further modules that predict tokens, encoders, buffers.
    """

    kind: str
    files: int
    tensors: int
    bytes: int
    parameters: int | None = None
    weight_bytes: int | None = None
    corrections: int = 0
    by_format: tuple[tuple[str, int], ...] = ()
    aside: tuple[tuple[str, int], ...] = ()

    def note(self) -> str:
        """What is in the files, in a line."""
        many = "file" if self.files == 1 else "files"
        formats = ", ".join(f"{name} {100 * size / self.bytes:.1f} %" for name, size in self.by_format if self.bytes)
        held = f"{self.tensors} tensors of {self.bytes:,} bytes"
        return f"{self.files} {self.kind} {many}: {held}" + (f" ({formats})" if formats else "")


# What is stored beside weights, and is none: safetensors names (AutoAWQ, AutoGPTQ, bitsandbytes, compressed-tensors,
# DeepSeek's and gpt-oss' checkpoints).
_BESIDE = re.compile(
    r"(\.|_)(weight_)?(scale|scales|scale_inv|scale_2|global_scale|zero_point|zeros|qzeros|g_idx|shape|absmax"
    r"|quant_map|nested_absmax|nested_quant_map|input_scale|output_scale|k_scale|v_scale|SCB"
    r"|quant_state\.\w+)$"
)
_BUFFERS = re.compile(
    r"(inv_freq|masked_bias|rope_freqs\.weight|rope_factors_(long|short)\.weight|position_ids|_extra_state"
    r"|num_batches_tracked|layer_scalar|layer_output_scale\.weight|tid2eid|slope_rate|(query|key|diagonal)_decay"
    r"|act_fn\.(beta|eps))$"
)
_MASK = re.compile(r"(attn|attention)\.bias$")
"""GPT-2's and GPT-NeoX' causal masks: four dimensions, which no bias has."""
_CORRECTION = re.compile(r"(e_score_correction_bias|exp_probs_b\.bias|expert_bias|gate\.bias)$")
_ENCODERS = re.compile(
    r"(^|\.)(visual|vision\w*|image\w*|audio\w*|speech\w*|talker|token2wav|code2wav|multi_modal_projector|mm_projector"
    r"|aligner|mlp1|v\.blk|mm)\."
)
_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blk|blocks|block)\.(\d+)\.")
_DRAFT = re.compile(r"(^|\.)mtp\w*\.")


def sorted_out(entry: Entry, layers: int, quantised: bool) -> str:
    """What a tensor is: ``"weight"``, ``"scale"`` (beside a weight), or what it is kept aside as.

    Args:
        entry: The tensor.
        layers: Of the model; a layer past them predicts tokens further ahead.
        quantised: Whether scales are stored beside weights; where not, what is called so is a weight.
    """
    if _ENCODERS.search(entry.name):
        return "encoders of other modalities"
    if _BUFFERS.search(entry.name) or (_MASK.search(entry.name) and len(entry.shape) > 2):
        return "buffers"
    number = _LAYER.search(entry.name)
    if _DRAFT.search(entry.name) or (number and int(number.group(1)) >= layers):
        return "multi-token prediction"
    return "scale" if quantised and _BESIDE.search(entry.name) else "weight"


def gathered(kind: str, files: int, entries: Iterable[Entry], layers: int, quantised: bool) -> Checkpoint:
    """The tensors of a checkpoint, added up."""
    formats: dict[str, int] = {}
    aside: dict[str, int] = {}
    tensors = total = parameters = counted = corrections = 0
    for entry in entries:
        tensors += 1
        total += entry.bytes
        formats[entry.dtype] = formats.get(entry.dtype, 0) + entry.bytes
        found = sorted_out(entry, layers, quantised)
        if found in ("weight", "scale"):
            counted += entry.bytes
            parameters += entry.elements if found == "weight" else 0
            corrections += entry.elements if _CORRECTION.search(entry.name) else 0
        else:
            aside[found] = aside.get(found, 0) + entry.bytes
    return Checkpoint(
        kind=kind,
        files=files,
        tensors=tensors,
        bytes=total,
        parameters=parameters,
        weight_bytes=counted,
        corrections=corrections,
        by_format=tuple(sorted(formats.items(), key=lambda pair: -pair[1])),
        aside=tuple(aside.items()),
    )


def checked(model: Model, checkpoint: Checkpoint, further: tuple[str, ...] = ()) -> Model:
    """The model with its checkpoint, and a note of whether both say the same."""
    notes = [checkpoint.note()]
    notes += [f"{size:,} of those bytes are {what}, in no count of the model" for what, size in checkpoint.aside]
    described, held = model.parameters.total, checkpoint.parameters
    if held is not None and held - checkpoint.corrections == described:
        # What corrects a router's scores is a buffer to some models' code, a parameter to others'.
        held = described
        checkpoint = attrs.evolve(checkpoint, parameters=held)
    if held is not None:
        copy = sum(p.elements for p in model.head.parameters if p.tied)
        if held == described:
            notes.append(f"the files hold the {held:,} parameters the configuration describes")
        elif copy and held == described + copy:
            notes.append(
                f"the files hold the {described:,} parameters the configuration describes, the tied head twice"
            )
        else:
            gap = abs(held - described)
            notes.append(
                f"MISMATCH: the files hold {held:,} parameters, the configuration describes {described:,}: "
                f"{gap:,} {'more' if held > described else 'fewer'} in the files"
            )
    return attrs.evolve(model, checkpoint=checkpoint, notes=(*model.notes, *notes, *(clip(f, 200) for f in further)))
