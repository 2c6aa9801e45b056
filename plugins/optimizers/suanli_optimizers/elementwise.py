"""Optimizers whose states have the shape of the parameter, as PyTorch 2 keeps them: in the parameter's own format.

FLOPs are counted from the update as published: each ``+ - * /``, root, sign, absolute value and maximum is one,
and what is the same for all parameters (bias corrections, schedules) is nothing. Adam: 3 for the mean, 4 for the mean
square, and root, sum, quotient, product, difference.
"""

from __future__ import annotations

from collections.abc import Iterable

from suanli import ElementwiseOptimizer, OptimizerRule, StateTensor

MEAN, SQUARE = "exp_avg", "exp_avg_sq"

STEP = StateTensor(name="step", elements=1, format="fp32", host=True)
"""PyTorch counts the steps of every tensor apart, on the host unless a fused kernel reads them; Apex and Megatron-LM
once for all of them."""

RULES: tuple[tuple[str, tuple[str, ...], tuple[str, ...], float, str], ...] = (
    (
        "nesterov",
        ("sgd-nesterov",),
        ("momentum",),
        6.0,
        "Sutskever et al. 2013, On the importance of initialization and momentum, eq. 3 and 4",
    ),
    ("adagrad", (), ("sum",), 7.0, "Duchi et al. 2011, Adaptive subgradient methods"),
    ("adadelta", (), ("square_avg", "acc_delta"), 15.0, "Zeiler 2012, ADADELTA, algorithm 1"),
    ("rmsprop", (), ("square_avg",), 9.0, "Tieleman & Hinton 2012, Neural networks for machine learning, lecture 6.5"),
    (
        "rmsprop-momentum",
        (),
        ("square_avg", "momentum_buffer"),
        11.0,
        "Graves 2013, Generating sequences with recurrent neural networks, eq. 38 to 41, without the mean",
    ),
    (
        "rmsprop-centered",
        (),
        ("square_avg", "grad_avg"),
        14.0,
        "Graves 2013, Generating sequences with recurrent neural networks, eq. 38 to 41, without momentum",
    ),
    (
        "rmsprop-centered-momentum",
        ("rmsprop-graves",),
        ("square_avg", "grad_avg", "momentum_buffer"),
        16.0,
        "Graves 2013, Generating sequences with recurrent neural networks, eq. 38 to 41",
    ),
    ("adam", ("adam-torch",), (MEAN, SQUARE), 12.0, "Kingma & Ba 2015, algorithm 1"),
    (
        "adamw",
        ("adamw-torch", "adamw-fused", "adamw_torch", "adamw_torch_fused", "adamw_apex_fused"),
        (MEAN, SQUARE),
        14.0,
        "Loshchilov & Hutter 2019, algorithm 2",
    ),
    (
        "amsgrad",
        ("adam-amsgrad",),
        (MEAN, SQUARE, "max_exp_avg_sq"),
        13.0,
        "Reddi et al. 2018, On the convergence of Adam and beyond, algorithm 2",
    ),
    (
        "adamw-amsgrad",
        (),
        (MEAN, SQUARE, "max_exp_avg_sq"),
        15.0,
        "Reddi et al. 2018, On the convergence of Adam and beyond, algorithm 2; Loshchilov & Hutter 2019",
    ),
    ("radam", (), (MEAN, SQUARE), 12.0, "Liu et al. 2020, On the variance of the adaptive learning rate, algorithm 2"),
    ("adamax", (), (MEAN, "exp_inf"), 9.0, "Kingma & Ba 2015, algorithm 2"),
    ("rprop", (), ("prev", "step_size"), 8.0, "Riedmiller & Braun 1993, RPROP"),
)
"""Name, other names, states, FLOPs a parameter, source; each keeps PyTorch's step count besides, but for Nesterov's."""


def rules() -> Iterable[OptimizerRule]:
    """SGD and what is done with means of gradients and of their squares."""
    yield ElementwiseOptimizer(name="sgd", flops_per_parameter=2.0, source="Robbins & Monro 1951")
    yield ElementwiseOptimizer(
        name="momentum", aliases=("sgd-momentum",), tensors=("momentum",), flops_per_parameter=4.0, source="Polyak 1964"
    )
    for name, aliases, tensors, flops, source in RULES:
        yield ElementwiseOptimizer(
            name=name,
            aliases=aliases,
            tensors=tensors,
            flops_per_parameter=flops,
            source=source,
            beside=() if name == "nesterov" else (STEP,),
        )
    yield ElementwiseOptimizer(
        name="nadam",
        tensors=(MEAN, SQUARE),
        beside=(STEP, StateTensor(name="mu_product", elements=1, format="fp32", host=True)),
        flops_per_parameter=14.0,
        source="Dozat 2016, Incorporating Nesterov momentum into Adam",
    )
    yield ElementwiseOptimizer(
        name="asgd",
        aliases=("averaged-sgd",),
        tensors=("ax",),
        beside=tuple(StateTensor(name=n, elements=1, format="fp32") for n in ("step", "eta", "mu")),
        flops_per_parameter=6.0,
        source="Polyak & Juditsky 1992, Acceleration of stochastic approximation by averaging",
    )
    yield ElementwiseOptimizer(
        name="lion",
        tensors=("momentum",),
        flops_per_parameter=11.0,
        source="Chen et al. 2023, Symbolic discovery of optimization algorithms, algorithm 2",
    )
    yield ElementwiseOptimizer(
        name="lamb",
        tensors=(MEAN, SQUARE),
        flops_per_parameter=18.0,
        source="You et al. 2020, Large batch optimization for deep learning, algorithm 2",
    )
    yield ElementwiseOptimizer(
        name="lars",
        tensors=("momentum",),
        flops_per_parameter=10.0,
        source="You et al. 2017, Large batch training of convolutional networks, algorithm 1",
    )
    yield ElementwiseOptimizer(
        name="ademamix",
        tensors=("m1", "m2", "nu"),
        flops_per_parameter=19.0,
        source="Pagliardini et al. 2024, The AdEMAMix optimizer",
    )
