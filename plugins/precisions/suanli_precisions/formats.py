"""Number formats in use, with their scale bits."""

from __future__ import annotations

from suanli import NumberFormat

IEEE = "IEEE 754-2019"
OCP = "OCP Microscaling Formats (MX) v1.0"
HALF = ("bf16", "fp16", "tf32", "fp32")

FORMATS = (
    NumberFormat(name="fp64", bits=64, aliases=("float64", "double"), source=IEEE),
    NumberFormat(name="fp32", bits=32, aliases=("float32", "float"), source=IEEE),
    NumberFormat(name="tf32", bits=19, stored_bits=32, wider=("fp32",), source="NVIDIA A100 whitepaper"),
    NumberFormat(
        name="bf16", bits=16, wider=("fp16", "tf32", "fp32"), aliases=("bfloat16",), source="Kalamkar et al. 2019"
    ),
    NumberFormat(name="fp16", bits=16, wider=("bf16", "tf32", "fp32"), aliases=("float16", "half"), source=IEEE),
    NumberFormat(name="fp8", bits=8, wider=HALF, aliases=("fp8-e4m3", "e4m3"), source="Micikevicius et al. 2022"),
    NumberFormat(
        name="fp8-e5m2", bits=8, compute="fp8", wider=HALF, aliases=("e5m2",), source="Micikevicius et al. 2022"
    ),
    NumberFormat(name="mxfp8", bits=8, block=32, scale_bits=8, compute="fp8", wider=HALF, source=OCP),
    NumberFormat(name="int8", bits=8, wider=HALF, source="two's complement"),
    NumberFormat(name="int4", bits=4, wider=("int8", *HALF), source="two's complement, scales apart"),
    NumberFormat(
        name="nf4", bits=4, block=64, scale_bits=8, compute="bf16", wider=HALF, source="Dettmers et al. 2023, QLoRA"
    ),
    NumberFormat(name="mxfp4", bits=4, block=32, scale_bits=8, compute="fp4", wider=("fp8", *HALF), source=OCP),
    NumberFormat(
        name="nvfp4",
        bits=4,
        block=16,
        scale_bits=8,
        compute="fp4",
        wider=("fp8", *HALF),
        aliases=("fp4",),
        source="NVIDIA Blackwell architecture brief",
    ),
)
