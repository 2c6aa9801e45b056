"""Precision recipes: which tensor is kept in which format.

Bytes of state for each parameter of Adam (two states) stand beside each training recipe.
"""

from __future__ import annotations

from suanli import Recipe

MIXED = "Micikevicius et al. 2018, Mixed precision training"
ZERO = "Rajbhandari et al. 2020, ZeRO, sec. 3.1"
MEGATRON = "NVIDIA/Megatron-LM, distributed optimizer: gradients accumulated in fp32"

TRAINING = (
    # 4 + 4 + 8: 16 bytes, nothing beside the fp32 weights
    Recipe(
        name="fp32",
        kind="training",
        weights="fp32",
        gradients="fp32",
        optimizer_states="fp32",
        activations="fp32",
        compute="tf32",
        source="definition",
    ),
    # 6 + 4 + 8: 18 bytes
    Recipe(
        name="bf16-mixed",
        kind="training",
        weights="bf16",
        main_gradients="fp32",
        master_weights="fp32",
        optimizer_states="fp32",
        aliases=("bf16", "mixed", "18n"),
        source=MEGATRON,
    ),
    # 2 + 2 + 12: ZeRO's 16 bytes
    Recipe(
        name="fp16-mixed",
        kind="training",
        weights="fp16",
        gradients="fp16",
        master_weights="fp32",
        optimizer_states="fp32",
        activations="fp16",
        compute="fp16",
        aliases=("fp16", "16n"),
        source=ZERO,
    ),
    # 2 + 2 + 4 + 4 + 8: 20 bytes, the half gradients beside their fp32 sum
    Recipe(
        name="fp16-mixed-main-gradients",
        kind="training",
        weights="fp16",
        gradients="fp16",
        main_gradients="fp32",
        master_weights="fp32",
        optimizer_states="fp32",
        activations="fp16",
        compute="fp16",
        aliases=("20p",),
        source=MIXED,
    ),
    # 2 + 2 + 8: 12 bytes, no master weights
    Recipe(
        name="bf16-no-master",
        kind="training",
        weights="bf16",
        gradients="bf16",
        optimizer_states="fp32",
        aliases=("2+2+8",),
        source="definition",
    ),
    # 2 + 2 + 4: 8 bytes
    Recipe(
        name="bf16-pure",
        kind="training",
        weights="bf16",
        gradients="bf16",
        optimizer_states="bf16",
        source="definition",
    ),
    Recipe(
        name="fp8-mixed",
        kind="training",
        weights="bf16",
        main_gradients="fp32",
        master_weights="fp32",
        optimizer_states="fp32",
        compute="fp8",
        aliases=("fp8-hybrid",),
        source="Micikevicius et al. 2022",
    ),
    Recipe(
        name="mxfp8-mixed",
        kind="training",
        weights="bf16",
        main_gradients="fp32",
        master_weights="fp32",
        optimizer_states="fp32",
        compute="mxfp8",
        source="OCP Microscaling Formats (MX) v1.0",
    ),
    Recipe(
        name="nvfp4-mixed",
        kind="training",
        weights="bf16",
        main_gradients="fp32",
        master_weights="fp32",
        optimizer_states="fp32",
        compute="nvfp4",
        source="NVIDIA 2025, Pretraining LLMs with NVFP4",
    ),
)

SERVING = (
    Recipe(name="serve-bf16", kind="serving", weights="bf16", source="definition"),
    Recipe(
        name="serve-fp16",
        kind="serving",
        weights="fp16",
        activations="fp16",
        kv_cache="fp16",
        compute="fp16",
        source="definition",
    ),
    Recipe(
        name="serve-fp32",
        kind="serving",
        weights="fp32",
        activations="fp32",
        kv_cache="fp32",
        compute="tf32",
        source="definition",
    ),
    Recipe(
        name="serve-fp8",
        kind="serving",
        weights="fp8",
        compute="fp8",
        aliases=("w8a8-fp8",),
        source="Micikevicius et al. 2022",
    ),
    Recipe(
        name="serve-int8",
        kind="serving",
        weights="int8",
        compute="int8",
        aliases=("w8a8",),
        source="Xiao et al. 2023, SmoothQuant",
    ),
    Recipe(name="serve-int4", kind="serving", weights="int4", aliases=("w4a16",), source="Lin et al. 2023, AWQ"),
    Recipe(name="serve-nf4", kind="serving", weights="nf4", source="Dettmers et al. 2023, QLoRA"),
    Recipe(name="serve-mxfp8", kind="serving", weights="mxfp8", compute="mxfp8", source="OCP MX v1.0"),
    Recipe(name="serve-mxfp4", kind="serving", weights="mxfp4", source="OpenAI 2025, gpt-oss model card"),
    Recipe(
        name="serve-nvfp4",
        kind="serving",
        weights="nvfp4",
        compute="nvfp4",
        aliases=("serve-fp4",),
        source="NVIDIA Blackwell architecture brief",
    ),
)
