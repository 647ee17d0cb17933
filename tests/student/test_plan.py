"""The plan: the seed's three sizes placed, and the memory formula against a measured step."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml

from distillery_core.errors import UserError
from distillery_core.student.planning import plan as planning
from distillery_core.student.planning.flops import (
    card_named,
    cards,
    matrix_peak,
    peak_flops,
    train_flops,
)
from distillery_core.student.planning.plan import (
    CPU_MICRO_TOKENS,
    CPU_PACKED_TOKENS,
    Plan,
    choice_of,
    choose,
    make_plan,
    workload,
)
from distillery_core.student.planning.plan_text import plan_json, plan_lines
from distillery_core.student.planning.shape import Shape, shape_of
from distillery_core.student.planning.step_memory import step_memory
from distillery_core.student.planning.target import target_for
from distillery_core.student.settings import TrainSettings

CASES = yaml.safe_load(
    (Path(__file__).parents[1] / "cases/student/plans.yaml").read_text(encoding="utf-8")
)
Install = Callable[..., None]


@pytest.fixture
def all_but(monkeypatch: pytest.MonkeyPatch) -> Install:
    """In the eyes of the plan, and of nobody else, every package is installed but these."""

    def install(*missing: str) -> None:
        util = SimpleNamespace(find_spec=lambda name: None if name in missing else name)
        monkeypatch.setattr(planning, "importlib", SimpleNamespace(util=util))

    return install


def _planned(base: str, device: str, gib: float | None = None, **settings: Any) -> Plan:
    asked = TrainSettings(model_name=f"Qwen/Qwen2.5-{base}", **settings)
    shape = shape_of(asked.model_name, 8)
    return make_plan(asked, shape, target_for(device, gib), workload([], 512, ""))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['base']} on {case['device']}")
def test_what_is_taken(case: dict[str, Any], all_but: Install) -> None:
    all_but(*case.get("missing", []))
    plan = _planned(case["base"], case["device"], case.get("gib"), **case.get("settings", {}))
    assert (plan.chosen.method if plan.chosen else None) == case["takes"]
    for choice in plan.choices:
        assert (choice.memory.total <= plan.target.memory) == (choice.micro_tokens > 0)
    lines = list(plan_lines(plan))
    assert lines[-1] == case["says"]
    for method, start in case.get("row", {}).items():
        head = next(n for n, line in enumerate(lines) if line.split()[0].rstrip(":") == method)
        assert lines[head + 2].strip().startswith(start)
    said = plan_json(plan)
    assert json.loads(json.dumps(said))["chosen"] == case["takes"]


def test_known_parameter_counts() -> None:
    """Those of the published models, less the language-model head of the 7B, which is not tied."""
    counts = {
        "0.5B": 494_032_768, "1.5B": 1_543_714_304, "3B": 3_085_938_688,
        "7B": 7_615_616_512 - 152_064 * 3584,
    }  # fmt: skip
    for size, count in counts.items():
        shape = shape_of(f"Qwen/Qwen2.5-{size}", 8)
        assert shape.parameters - shape.head == count


def test_what_does_not_fit_says_so_with_numbers(all_but: Install) -> None:
    settings = TrainSettings()
    shape = shape_of(settings.model_name, 8)
    all_but()
    with pytest.raises(UserError, match=r"full: needs 1\d\d\.\d GiB, there are 4\.0 GiB"):
        choose(shape, settings, target_for("RTX 4090", memory_gib=4))
    all_but("bitsandbytes")
    would = (
        r"qlora: would fit with bitsandbytes(?s:.)*install bitsandbytes \(pip install .*, or take"
    )
    with pytest.raises(UserError, match=would):
        choose(shape, settings, target_for("cpu", memory_gib=16))


def test_articles_are_planned_as_they_are_computed() -> None:
    """Packed on a CPU, unless that is turned off; one at a time where memory is short."""
    shape, here = shape_of("Qwen/Qwen2.5-0.5B", 8), target_for("cpu", memory_gib=64)
    packed = choice_of(shape, TrainSettings(), here, "full")
    alone = choice_of(shape, TrainSettings(packing=False), here, "full")
    assert (packed.micro_tokens, alone.micro_tokens) == (CPU_PACKED_TOKENS, CPU_MICRO_TOKENS)
    for choice, attended in ((packed, 512), (alone, 0)):
        assert choice.memory == step_memory(
            shape,
            "full",
            choice.micro_tokens,
            bf16=here.bf16,
            attended=attended,
            overhead=choice.memory.overhead,
        )
    assert choice_of(shape, TrainSettings(), here, "frozen").micro_tokens == CPU_MICRO_TOKENS


def test_hours_and_what_they_cost() -> None:
    plan = _planned("1.5B", "H100")
    full, lora, _ = plan.choices
    hours, usd = plan.hours(full), plan.usd(full)
    assert hours and usd
    assert hours == pytest.approx(plan.flops(full) / (0.4 * 989e12) / 3600)
    assert usd == pytest.approx(2.5 * hours)
    assert any(line.endswith(f"about {usd:.2f} USD at 2.5 USD/h") for line in plan_lines(plan))
    assert plan.flops(lora) < plan.flops(full)
    frozen = _planned("1.5B", "H100", method="frozen")
    once = train_flops(frozen.shape, frozen.work.lengths, frozen_base=False)
    assert frozen.flops(frozen.choices[0]) == once / 3, "a base is read once, forward only"
    assert any("no price known" in line for line in plan_lines(_planned("0.5B", "cpu")))


def test_what_takes_next_to_nothing_is_not_said_to_take_none() -> None:
    """A minute and a cent are the least that is told; no price is no cost."""
    short = replace(_planned("0.5B", "H100"), work=workload([400] * 20, 512, ""))
    assert any("  fits; under a minute at 40% of the peak, under 0.01 USD at" in line
               for line in plan_lines(short))  # fmt: skip
    free = replace(short, target=target_for("H100", usd_per_hour=0.0))
    assert any(line.endswith("about 0.00 USD at 0 USD/h") for line in plan_lines(free))


def test_several_devices_share_the_work_and_not_the_weights() -> None:
    """On four cards a quarter of the time for the same money; a CPU is one, whoever shares it."""
    plan = _planned("1.5B", "H100", method="full")
    four = replace(plan, target=target_for("H100", processes=4))
    choice = plan.choices[0]
    assert (four.hours(choice) or 0) == pytest.approx((plan.hours(choice) or 0) / 4)
    assert four.usd(choice) == pytest.approx(plan.usd(choice))
    shared = choice_of(plan.shape, plan.settings, four.target, "full")
    assert shared.memory.gradients == 2 * choice.memory.gradients, "DDP's buckets"
    assert (shared.memory.weights, shared.memory.optimizer) == (
        choice.memory.weights,
        choice.memory.optimizer,
    )
    assert (choice.micro_tokens, shared.micro_tokens) == (8 * 512, 2 * 512), "of a batch of 8"
    alone, two = (target_for("cpu", 64, processes=n) for n in (1, 2))
    assert (two.memory, two.devices) == (alone.memory / 2, 1)
    over_two_machines = target_for("cpu", 64, processes=4, here=2)
    assert (over_two_machines.memory, over_two_machines.processes) == (alone.memory / 2, 4)
    small = shape_of("Qwen/Qwen2.5-0.5B", 8)
    assert planning.packs(small, TrainSettings(), alone)
    assert not planning.packs(small, TrainSettings(), two)


def test_what_does_not_fit_has_no_hours_and_no_cost(all_but: Install) -> None:
    all_but()
    plan = _planned("7B", "RTX 4090")
    for row in plan_json(plan)["methods"]:
        assert (row["hours"] is None) == (row["usd"] is None) == (row["tokens_at_a_time"] == 0)
    assert [row["fits"] for row in plan_json(plan)["methods"]] == [False, True, True]


def test_a_shortage_is_told_with_as_many_digits_as_it_takes() -> None:
    need = _planned("0.5B", "H100", method="full").choices[0]
    settings, shape = (
        TrainSettings(model_name="Qwen/Qwen2.5-0.5B"),
        shape_of("Qwen/Qwen2.5-0.5B", 8),
    )
    one = step_memory(
        shape, "full", 512, checkpointing=True, overhead=need.memory.overhead
    ).total / 2**30  # fmt: skip
    for short, told in ((one - 0.003, r"needs (\d+\.\d{2,3}) GiB, there are (\d+\.\d{2,3}) GiB"),
                        (one - 1, r"needs (\d+\.\d) GiB, there are (\d+\.\d) GiB")):  # fmt: skip
        why = choice_of(shape, settings, target_for("H100", short), "full").why_not or ""
        found = re.fullmatch(told, why)
        assert found, why
        assert found[1] != found[2]


@pytest.mark.parametrize("head", ["ridge", "mlp"])
def test_a_frozen_base_is_read_once_and_the_plan_says_so(head: str) -> None:
    frozen = _planned("0.5B", "H100", method="frozen", frozen_head=head, epochs=3)
    once = (
        "  7,000 articles, read once: about 3,584,000 tokens (7,000 articles of 512 tokens assumed)"
    )
    assert any(line.startswith(once) for line in plan_lines(frozen))
    assert plan_json(frozen)["epochs"] == 1
    full = _planned("0.5B", "H100", method="full", epochs=3)
    often = "  7,000 articles x 3 epochs, about 3,584,000 tokens an epoch ("
    assert any(line.startswith(often) for line in plan_lines(full))
    assert plan_json(full)["epochs"] == 3


def test_cards_by_name() -> None:
    names = ("RTX 4090", "NVIDIA GeForce RTX 4090 Laptop GPU", "NVIDIA A100-SXM4-80GB", "H100")
    found = [card.name for card in map(card_named, names) if card]
    assert found == ["RTX 4090", "RTX 4090 Laptop", "A100 80GB", "H100"]
    with pytest.raises(UserError, match=r"no card 'Cray-1'(?s:.)*H100"):
        target_for("Cray-1")
    assert target_for("RTX 4090 16GB").name == "RTX 4090 Laptop (16 GiB)"
    assert [card.name for card in cards() if not target_for(card.name).bf16] == ["T4"]


MEASURE = """
import json, os, sys
from pathlib import Path
import torch
from transformers import AutoModelForSequenceClassification, BertConfig, Qwen2Config
from distillery_core.student.data import Encoded
from distillery_core.student.model_factory import checkpoint_gradients
from distillery_core.student.computing.packing import attend_by_article, packed_logits
from distillery_core.student.planning.shape import describe_model
from distillery_core.student.planning.step_memory import step_memory

ON_CPU = torch.device("cpu")

def peak():
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in x)
    return int(line.split()[1]) * 1024

def scored(model, packed, articles, length):
    ids = torch.randint(1, 500, (articles, length))
    if not packed:
        return model(input_ids=ids).logits
    row = [Encoded("", tuple(tokens), False) for tokens in ids.tolist()]
    return packed_logits(model, row, ON_CPU)

def step(model, optimizer, packed, articles, length):
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew at what is held now
    before = peak()
    torch.square(scored(model, packed, articles, length)).mean().backward()
    optimizer.step()
    optimizer.zero_grad()
    return peak() - before

def model_of(family):
    shape = dict(hidden_size=256, num_hidden_layers=4, num_attention_heads=8,
                 intermediate_size=1024, vocab_size=600, num_labels=8,
                 max_position_embeddings=768)
    if family == "qwen2":
        config = Qwen2Config(**shape, num_key_value_heads=4, pad_token_id=0, use_cache=False)
    else:
        config = BertConfig(**shape, hidden_dropout_prob=0, attention_probs_dropout_prob=0)
    return AutoModelForSequenceClassification.from_config(config)

def measure(family, way, articles, length):
    torch.set_num_threads(1)
    model = model_of(family).train()
    if way == "checkpointed":
        checkpoint_gradients(model)
    if way == "packed":
        attend_by_article(model)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    step(model, optimizer, way == "packed", 1, 16)  # allocates what is kept from step to step
    measured = step(model, optimizer, way == "packed", articles, length)
    planned = step_memory(describe_model(model), "full", articles * length, bf16=False,
                          checkpointing=way == "checkpointed",
                          attended=length if way == "packed" else 0)
    added = planned.activations + planned.gradients
    print(json.dumps([family, way, added, measured]), flush=True)

for family in ("qwen2", "bert"):
    for way, *size in (("plain", 8, 128), ("checkpointed", 8, 128), ("packed", 2, 768)):
        child = os.fork()  # before torch computes anything: each starts as clean as the other
        if child == 0:
            measure(family, way, *size)
            os._exit(0)
        os.waitpid(child, 0)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")
def test_the_memory_formula_against_measured_steps() -> None:
    """What a real step adds to the process, over decoder and encoder: as it is, with
    checkpointing, and with packed articles."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE],
        capture_output=True,
        text=True,
        check=True,
        # What is freed goes back at once, so that the peak is what was in use.
        env=os.environ | {"MALLOC_MMAP_THRESHOLD_": "131072"},
    )
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    assert len(rows) == 6, done.stderr[-2000:]
    for family, way, planned, measured in rows:
        assert planned == pytest.approx(measured, rel=0.2), (family, way)


def test_flops_are_those_of_the_formula() -> None:
    shape = Shape(
        parameters=100, linear=1000, linear_sides=1, head=1, outputs=1, output_layer=1, largest=1,
        by_token=0, layers=2, hidden=10, heads=1, key_value=1, inner=1, packable=True,
        packs_by_flash=True, gated=False, causal=False,
    )  # fmt: skip
    assert train_flops(shape, [3, 5], frozen_base=False) == 6 * 1000 * 8 + 12 * 2 * 10 * (9 + 25)
    assert train_flops(shape, [3], frozen_base=True) == 4 * 1000 * 3 + 12 * 2 * 10 * 9
    assert (peak_flops(torch.device("cpu"), "float32") or 0) > 1e9
    seconds = itertools.count()
    assert matrix_peak("float32", clock=lambda: next(seconds)) == 2 * 1024**3, "a second each"

    # All but the last layer's keys and values is computed for one token of the three, and
    # only the other layer's attention for all of them.
    reads_one = replace(shape, by_token=300)
    found = train_flops(reads_one, [3], frozen_base=False, reads_one=True)
    assert found == 6 * (1000 * 3 - 300 * 2) + 12 * 1 * 10 * 9
    built_otherwise = train_flops(shape, [3], frozen_base=False, reads_one=True)
    assert built_otherwise == train_flops(shape, [3], frozen_base=False)
