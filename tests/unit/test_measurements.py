"""Files of measurements: what is read, what is refused, and what is said of it."""

from __future__ import annotations

import inspect
from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import suanli
from suanli.catalog_files import read_catalog
from suanli.hardware import Accelerator, System
from suanli.measurement_limits import bound_of
from suanli.measurement_schema import KERNELS, make_shape, predicted_s
from suanli.measurements import COLUMNS, Measurement, impossible, parsed, read_measurements, row_of

SHAPES = (
    make_shape("gemm", "bf16", m=4096, n=8192, k=1024),
    make_shape("gemm", "fp8_static", m=16, n=8192, k=1024),
    make_shape("attention", "bf16", phase="prefill", batch=1, query=512, kv_tokens=2048, heads=32, kv_heads=8,
               head_dim=128, window=1024),
    make_shape("attention", "fp16", phase="decode", batch=8, query=1, kv_tokens=2048, heads=32, kv_heads=8,
               head_dim=128),
    make_shape("mla", "bf16", phase="decode", batch=8, query=1, kv_tokens=2048, heads=16),
    make_shape("moe", "bf16", tokens=64, hidden=4096, intermediate=14336, experts=8, top_k=2, imbalance=1.25),
    make_shape("elementwise", "bf16", operation="add", rows=64, width=4096, bytes=3 * 64 * 4096 * 2),
    make_shape("collective", "bf16", operation="all_reduce", bytes=1 << 20, ranks=8),
)  # fmt: skip
H100 = "h100-sxm5-80"
GEMM = make_shape("gemm", "bf16", m=4096, n=4096, k=4096)  # 139 us at the peak of an H100


def written(path: Path, *lines: str) -> Path:
    """A file of these lines."""
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def faults_of(path: Path) -> tuple[str, ...]:
    """What is refused of a file."""
    with pytest.raises(suanli.SuanliError) as caught:
        read_measurements(path)
    assert isinstance(caught.value, suanli.SuanliError)
    return tuple(getattr(caught.value, "errors", ()))


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    """Every kernel's measurement comes back equal, with the line it stood on."""
    import csv

    rows = [
        Measurement(shape=s, time_s=1e-5 * (i + 1), repeats=7, spread_ratio=0.02, device="X", date="2026-01-01")
        for i, s in enumerate(SHAPES)
    ]
    path = tmp_path / "m.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(row_of(r) for r in rows)
    found = read_measurements(path)
    assert list(found) == rows
    assert [m.row for m in found] == list(range(2, 2 + len(rows)))


@pytest.mark.parametrize(
    ("kernel", "function"),
    [
        ("gemm", Accelerator.gemm_s),
        ("attention", Accelerator.attention_s),
        ("mla", Accelerator.mla_s),
        ("moe", Accelerator.moe_s),
        ("collective", System.collective_s),
    ],
)
def test_sizes_are_named_as_the_functions_that_predict_name_them(kernel: str, function: object) -> None:
    """Every argument of the function is a column with the same default, and every column an argument."""
    parameters = inspect.signature(function).parameters  # type: ignore[arg-type]
    asked = {n: p.default for n, p in parameters.items() if n not in ("self", "precision")}
    assert set(asked) == {d.name for d in KERNELS[kernel]}
    for about in KERNELS[kernel]:
        default = asked[about.name]
        assert about.default == (None if default is inspect.Parameter.empty else default)


def test_only_a_kernel_its_sizes_and_a_time_are_needed(tmp_path: Path) -> None:
    """Other columns are passed over, defaults stand in for what is left out, blank lines are none."""
    path = written(
        tmp_path / "m.csv", "note,k,kernel,time_s,precision,n,m", "hot,64,GEMM,1e-5,BF16,32,16", "", ",,,,,,"
    )
    (found,) = read_measurements(path)
    assert found.shape == make_shape("gemm", "bf16", m=16, n=32, k=64)
    assert found.device == ""
    assert found.repeats is None
    path = written(tmp_path / "n.csv", "kernel,precision,operation,bytes,ranks,time_s", "collective,bf16,p2p,64,2,1e-5")
    assert read_measurements(path)[0].shape["stride"] == 1


def test_every_fault_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    """Unknown kernels and precisions, missing and impossible sizes, and bad times: each by row and column."""
    path = written(
        tmp_path / "m.csv",
        "kernel,precision,m,n,k,time_s,phase,batch,query,kv_tokens,heads,kv_heads,head_dim",
        "gemm,bf61,16,16,,1e-5",
        "gem,bf16,16,16,16,1e-5",
        "gemm,bf16,-1,1.5,nan,0",
        "attention,bf16,,,,1e-5,dekode,1,8,4,4,8,64",
        "gemm,bf16,16,16,16,",
        "gemm,bf16,16,16,16,12 us",
        "gemm,,16,16,16,-1e-5",
    )
    said = "\n".join(faults_of(path))
    for expected in (
        "row 2: precision: no precision named 'bf61'. Did you mean 'bf16'?",
        "row 2: k: missing",
        "row 3: kernel: no kernel named 'gem'. Did you mean 'gemm'?",
        "row 4: m: must be 1 or more",
        "row 4: n: must be a whole number, got '1.5'",
        "row 4: k: expected a plain number, got 'nan'",
        "row 4: time_s: must be above 0",
        "row 5: phase: must be one of prefill, decode; got 'dekode'; did you mean 'decode'?",
        "row 5: query: must not be more than kv_tokens; got 8 and 4",
        "row 5: kv_heads: must not be more than heads; got 8 and 4",
        "row 6: time_s: missing",
        "row 7: time_s: expected a plain number, got '12 us'",
        "row 8: precision: missing",
        "row 8: time_s: must be above 0",
    ):
        assert expected in said


@pytest.mark.parametrize(
    ("time", "said"),
    [("1e-9", "divided by 1000 once too often"), ("5e7", "microseconds or nanoseconds"), ("inf", "plain number")],
)
def test_times_no_kernel_takes_are_refused_without_an_accelerator(tmp_path: Path, time: str, said: str) -> None:
    """Less than any launch, and more than an hour, are other units."""
    path = written(tmp_path / "m.csv", "kernel,precision,m,n,k,time_s", f"gemm,bf16,16,16,16,{time}")
    assert said in faults_of(path)[0]


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("kernel,precision,m,n,k,latency_ms", "divide 'latency_ms' by 1000 and name it time_s"),
        ("kernel,precision,m,n,k,time_us", "divide 'time_us' by 1e6"),
        ("kernel,precision,m,n,k,latency", "rename 'latency' if seconds"),
        ("kernel,precison,m,n,k,time_s", "no column 'precision'; did you mean 'precison'?"),
        ("kernel,precision,m,m,k,time_s", "column 'm' is there twice"),
        ("kernel;precision;m;n;k;time_s", "separated by commas"),
    ],
)
def test_a_header_s_mistake_is_named(tmp_path: Path, header: str, said: str) -> None:
    """A column in another unit, misspelt, there twice, or another mark between columns."""
    assert said in "\n".join(faults_of(written(tmp_path / "m.csv", header, "gemm,bf16,16,16,16,1e-5")))


def test_what_is_no_file_of_measurements_is_refused(tmp_path: Path) -> None:
    """A folder, nothing, an empty file, bytes, a header alone, and rows longer than it: one clear message each."""
    binary = tmp_path / "b.csv"
    binary.write_bytes(b"\xff\xfe\x00")
    empty = written(tmp_path / "e.csv")
    header = written(tmp_path / "h.csv", ",".join(COLUMNS))
    long = written(tmp_path / "l.csv", "kernel,precision,m,n,k,time_s", "gemm,bf16,1,2,3,1e-5,what")
    for path, said in (
        (tmp_path, "is a folder"),
        (tmp_path / "none.csv", "cannot read"),
        (empty, "empty"),
        (binary, "not UTF-8"),
        (header, "no rows"),
        (long, "row 2: 7 cells under 6 columns"),
    ):
        assert said in faults_of(path)[0]


def test_a_file_of_nothing_but_faults_is_told_shortly(tmp_path: Path) -> None:
    """The first faults are listed, the rest counted."""
    path = written(tmp_path / "m.csv", "kernel,precision,m,n,k,time_s", *["gemm,bf16,0,1,1,1e-5"] * 500)
    faults = faults_of(path)
    assert len(faults) == 41
    assert faults[-1] == "and 460 more"


@pytest.mark.parametrize(
    ("time_s", "said"),
    [
        (2.0e-4, None),
        (1.2e-4, None),  # clocks above those that the peak is stated at
        (2.0e-1, "is it in milliseconds?"),
        (2.0e2, "is it in microseconds?"),
        (2.0e-7, "divided by 1,000 once too often?"),
        (0.5e-4, "a sparse product, the wrong precision"),
    ],
)
def test_a_time_the_hardware_does_not_allow_is_refused(time_s: float, said: str | None) -> None:
    """Faster than the peak, or hundreds of times slower than the roofline: with the likely mistake, and the row."""
    found = impossible([Measurement(shape=GEMM, time_s=time_s, row=7)], suanli.accelerator(H100))
    if said is None:
        assert found == ()
    else:
        assert len(found) == 1
        assert found[0].startswith("row 7: gemm bf16 (m 4096, n 4096, k 4096): ")
        assert said in found[0]


def test_traffic_is_held_against_the_bandwidth_but_for_what_a_cache_holds() -> None:
    """A copy of 8 GB cannot take 1 ms on an H100; one of 8 MB may take less than memory would allow."""
    device = suanli.accelerator(H100)

    def copy(size: int, time_s: float) -> Measurement:
        return Measurement(shape=make_shape("elementwise", "bf16", operation="copy", bytes=size), time_s=time_s)

    assert "memory bandwidth of 3.35 TB/s" in impossible([copy(8 * 10**9, 1e-3)], device)[0]
    assert impossible([copy(8 * 10**9, 2.5e-3)], device) == ()
    assert impossible([copy(8 * 10**6, 1.5e-6)], device) == ()


def test_exchanges_are_held_against_the_links() -> None:
    """An all-reduce of 1 GB over 8 ranks of a DGX H100 takes 875 MB over 450 GB/s at least; unjudged without it."""
    device, system = suanli.accelerator(H100), suanli.system("dgx-h100")
    shape = make_shape("collective", "bf16", operation="all_reduce", bytes=10**9, ranks=8)
    fast, fair = Measurement(shape=shape, time_s=1e-3), Measurement(shape=shape, time_s=3e-3)
    assert "dgx-h100's links of 450 GB/s one way" in impossible([fast], device, system)[0]
    assert impossible([fair], device, system) == ()
    assert impossible([fast], device) == ()


def test_reading_for_an_accelerator_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    """Faults of the file and of physics are told together."""
    path = written(
        tmp_path / "m.csv",
        "kernel,precision,m,n,k,time_s",
        "gemm,bf16,4096,4096,4096,0.2",
        "gemm,bf16,4096,4096,4096,0.0002",
        "gemm,bf16,4096,4096,,0.0002",
    )
    with pytest.raises(suanli.SuanliError) as caught:
        read_measurements(path, accelerator=suanli.accelerator(H100))
    assert "row 4: k: missing" in str(caught.value)
    assert "row 2: gemm" in str(caught.value)
    assert "row 3" not in str(caught.value)


def test_a_confidential_accelerator_s_figures_stay_out_of_messages(tmp_path: Path) -> None:
    """The fault is told, the peak and the bandwidth are not, nor a time they give."""
    (tmp_path / "secret.toml").write_text(
        '[[accelerator]]\nid = "secret-one"\nvendor = "V"\nproduct = "P"\nmemory = "96 GB"\n'
        'memory_bandwidth = "3.217 TB/s"\nconfidential = true\npeak = { bf16 = "517.3 TFLOP/s" }\n'
        'source = { all = "NDA" }\n',
        encoding="utf-8",
    )
    device = read_catalog(tmp_path).accelerators[0]
    device = attrs.evolve(device, formats=suanli.accelerator(H100).formats)
    rows = [Measurement(shape=GEMM, time_s=t) for t in (1e-6, 5.0)]
    rows.append(Measurement(shape=make_shape("elementwise", "bf16", operation="copy", bytes=10**10), time_s=1e-6))
    found = impossible(rows, device)
    assert len(found) == 3
    bound = bound_of(GEMM, device)
    assert bound is not None
    for figure in ("517", "3.217", "3.22", f"{bound.seconds:.3g}"):
        assert figure not in "\n".join(found)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_what_is_predicted_is_never_impossible(data: st.DataObject) -> None:
    """A time that a model gives, and one up to three times longer, could have been measured, on any accelerator."""
    names = [e.name for e in suanli.catalog().entries("accelerator") if not e.value.confidential]
    device = suanli.accelerator(data.draw(st.sampled_from(sorted(names))))
    size = st.integers(1, 8192)
    m, n, k = (data.draw(size) for _ in range(3))
    shapes = [make_shape("gemm", "bf16", m=m, n=n, k=k)]
    shapes.append(make_shape("elementwise", "bf16", operation="add", bytes=m * n * 6))
    for phase, query in (("prefill", m), ("decode", 1)):
        sizes = {"batch": 1 + n % 64, "query": query, "kv_tokens": m, "heads": 8, "kv_heads": 2, "head_dim": 128}
        shapes.append(make_shape("attention", "bf16", phase=phase, **sizes))
    for shape in shapes:
        time_s = predicted_s(shape, device)
        for factor in (1.0, 3.0):
            assert impossible([Measurement(shape=shape, time_s=time_s * factor)], device) == ()


def test_shapes_are_read_without_times(tmp_path: Path) -> None:
    """A list of shapes needs no column of times."""
    found, faults = parsed(written(tmp_path / "s.csv", "kernel,precision,m,n,k", "gemm,bf16,1,2,3"), timed=False)
    assert faults == []
    assert found[0].shape == make_shape("gemm", "bf16", m=1, n=2, k=3)


def test_precisions_are_those_that_are_installed(tmp_path: Path) -> None:
    """A file's formats are the catalog's, with the ends that say how they are scaled; or those that are given."""
    lines = [f"gemm,{p},16,16,16,1e-5" for p in ("bfloat16", "int4_wo", "fp8_static", "fp8_block", "nvfp4")]
    path = written(tmp_path / "m.csv", "kernel,precision,m,n,k,time_s", *lines)
    assert len(read_measurements(path)) == len(lines)
    with pytest.raises(suanli.SuanliError, match="no precision named 'nvfp4'"):
        read_measurements(path, precisions=("bfloat16", "int4", "fp8"))


LINES = st.lists(st.text(st.characters(codec="utf-8"), max_size=40), max_size=8)


@settings(max_examples=100, deadline=None)
@given(lines=LINES, header=st.sampled_from([[], [",".join(COLUMNS)]]))
def test_whatever_a_file_holds_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], header: list[str]
) -> None:
    """Any text is measurements or an error of ours."""
    path = tmp_path_factory.mktemp("junk") / "m.csv"
    path.write_bytes("\n".join([*header, *lines]).encode("utf-8"))
    try:
        assert read_measurements(path)
    except suanli.SuanliError as exc:
        assert str(exc)
