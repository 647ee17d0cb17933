"""The plan: the seed's three sizes placed, and the memory formula against a measured step."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from distillery_core.errors import UserError
from distillery_core.student.flops import card_named, peak_flops, train_flops
from distillery_core.student.plan import choose, make_plan, target_for, workload
from distillery_core.student.settings import TrainSettings
from distillery_core.student.shape import Shape, shape_of


@pytest.mark.parametrize(
    ("base", "card", "method"),
    [
        ("Qwen/Qwen2.5-7B", "RTX 4090 16 GB", "qlora"),
        ("Qwen/Qwen2.5-3B", "RTX 3060 12 GB", "lora"),
        ("Qwen/Qwen2.5-1.5B", "RTX 4060 8 GB", "lora"),
        ("Qwen/Qwen2.5-7B", "RTX 4090", "lora"),
        ("Qwen/Qwen2.5-7B", "A100 80GB", "lora"),
        ("Qwen/Qwen2.5-0.5B", "H100", "full"),
    ],
)
def test_the_seeds_sizes_are_placed(base: str, card: str, method: str) -> None:
    settings = TrainSettings(model_name=base)
    plan = make_plan(settings, shape_of(base, 8), target_for(card), workload([], 512, ""))
    assert plan.chosen is not None
    assert plan.chosen.method == method
    assert plan.chosen.memory.total <= plan.target.memory
    for choice in plan.choices:
        assert choice.fits or choice.memory.total > plan.target.memory
    json.dumps(plan.as_json())
    lines = list(plan.lines())
    assert lines[-1] == f"--method auto takes {method}."


def test_known_parameter_counts() -> None:
    """Those of the published models, less the language-model head of the 7B, which is not tied."""
    counts = {
        "0.5B": 494_032_768, "1.5B": 1_543_714_304, "3B": 3_085_938_688,
        "7B": 7_615_616_512 - 152_064 * 3584,
    }  # fmt: skip
    for size, count in counts.items():
        shape = shape_of(f"Qwen/Qwen2.5-{size}", 8)
        assert shape.parameters - shape.head == count


def test_what_does_not_fit_says_so_with_numbers() -> None:
    settings = TrainSettings()
    shape = shape_of(settings.model_name, 8)
    tight = target_for("RTX 4090", memory_gib=4)
    plan = make_plan(settings, shape, tight, workload([], 512, ""))
    assert plan.chosen is None
    assert any("does not fit: needs" in line for line in plan.lines())
    with pytest.raises(UserError, match=r"full: needs 1\d\d\.\d GiB, there are 4\.0 GiB"):
        choose(shape, settings, tight)


def test_cards_by_name() -> None:
    names = ("RTX 4090", "NVIDIA GeForce RTX 4090 Laptop GPU", "NVIDIA A100-SXM4-80GB", "H100")
    found = [card.name for card in map(card_named, names) if card]
    assert found == ["RTX 4090", "RTX 4090 Laptop", "A100 80GB", "H100"]
    with pytest.raises(UserError, match=r"no card 'Cray-1'(?s:.)*H100"):
        target_for("Cray-1")
    assert target_for("RTX 4090 16GB").name == "RTX 4090 Laptop (16 GiB)"


MEASURE = """
import json, os, sys
from pathlib import Path
import torch
from transformers import AutoModelForSequenceClassification, BertConfig, Qwen2Config
from distillery_core.student.plan import step_memory
from distillery_core.student.shape import describe_model

def peak():
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in x)
    return int(line.split()[1]) * 1024

def step(model, optimizer, articles, length):
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew at what is held now
    before = peak()
    ids = torch.randint(1, 500, (articles, length))
    torch.square(model(input_ids=ids).logits).mean().backward()
    optimizer.step()
    optimizer.zero_grad()
    return peak() - before

def model_of(family):
    shape = dict(hidden_size=256, num_hidden_layers=4, num_attention_heads=4,
                 intermediate_size=1024, vocab_size=600, num_labels=8)
    if family == "qwen2":
        config = Qwen2Config(**shape, num_key_value_heads=2, pad_token_id=0, use_cache=False)
    else:
        config = BertConfig(**shape, hidden_dropout_prob=0, attention_probs_dropout_prob=0)
    return AutoModelForSequenceClassification.from_config(config)

for family in ("qwen2", "bert"):
    for checkpointing in (False, True):
        child = os.fork()  # before torch computes anything: each starts as clean as the other
        if child == 0:
            torch.set_num_threads(1)
            model = model_of(family).train()
            if checkpointing:
                model.activation_checkpointing_enable({"use_reentrant": False})
            optimizer = torch.optim.AdamW(model.parameters(), fused=True)
            step(model, optimizer, 1, 16)  # allocates what is kept from step to step
            measured = step(model, optimizer, 8, 128)
            planned = step_memory(describe_model(model), "full", 8 * 128, bf16=False,
                                  checkpointing=checkpointing)
            added = planned.activations + planned.gradients
            print(json.dumps([family, checkpointing, added, measured]), flush=True)
            os._exit(0)
        os.waitpid(child, 0)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")
def test_the_memory_formula_against_measured_steps() -> None:
    """What a real step adds to the process, over decoder and encoder, with and without
    checkpointing."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE],
        capture_output=True,
        text=True,
        check=True,
        # What is freed goes back at once, so that the peak is what was in use.
        env=os.environ | {"MALLOC_MMAP_THRESHOLD_": "131072"},
    )
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    assert len(rows) == 4, done.stderr[-2000:]
    for family, checkpointing, planned, measured in rows:
        assert planned == pytest.approx(measured, rel=0.2), (family, checkpointing)


def test_flops_are_those_of_the_formula() -> None:
    shape = Shape(
        parameters=100, linear=1000, linear_sides=1, head=1, largest=1, layers=2, hidden=10,
        key_value=1, inner=1, gated=False, causal=False,
    )  # fmt: skip
    assert train_flops(shape, [3, 5], frozen_base=False) == 6 * 1000 * 8 + 12 * 2 * 10 * (9 + 25)
    assert train_flops(shape, [3], frozen_base=True) == 4 * 1000 * 3 + 12 * 2 * 10 * 9
    assert (peak_flops(torch.device("cpu"), "float32") or 0) > 1e9
