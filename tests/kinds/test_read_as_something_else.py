"""Kind: text that a user wrote is read as something else, without a word.

Found: YAML's octal numbers (``steps: 0100`` was 64), comments and mappings inside override values, empty values that became
null and switched features off, floats that overflow to infinity or vanish to zero, variants with dots that no path reached,
claims that could not name every variant, sweep values that collapse to one cell, options given twice of which the last won,
counts that were rounded, ``~`` taken for a folder, an exact variant name that also selected identities, ``--devices ''``.
All are mended; tests/suite/test_reading.py has the right values. Left: an override of the same field twice in one command,
where the last wins, because scripts append to defaults so (docs/suites.md says it).

Every place that turns a user's text into numbers, parts or structure is listed here with what keeps it honest.
"""

from __future__ import annotations

import ast

from tests.kinds.syntax import called, places

ROOMS = (
    "suite",
    "cli",
    "bench/workload.py",
    "bench/mixer_contest.py",
    "runner/places.py",
    "runner/devices.py",
    "runner/executors",
)

SITES = {
    "suite/block_pattern.py:_repeated": "digits matched by a pattern",
    "suite/expansion.py:_decides_reference": "the first part of an axis, which is the name of a block",
    "suite/choice.py:_choice_name": "a registered name, not a user's text",
    "suite/claims.py:_side": "a number token of the grammar",
    "suite/claims.py:_amount": "a number token of the grammar",
    "suite/claims.py:_closeness": "a number token of the grammar",
    "suite/condition.py:_features": "an int of config.json, checked to be one",
    "suite/learning_rate.py:warm_up_steps": "a share that was read, times steps",
    "suite/loading.py:parse_suite": "the one reader of suites",
    "suite/overrides.py:parse_override": "the one reader of key=value; everything behind the first '=' is the value",
    "suite/overrides.py:_key": "ASCII digits matched by a pattern",
    "suite/overrides.py:_descend": "all ways to join the parts again are tried, and two are refused",
    "suite/overrides.py:has_path": "all ways to join the parts again are tried",
    "suite/quantities.py:_parse_count": "decimal arithmetic; what is not whole is refused",
    "suite/widths.py:is_width": "the first part of a path that was checked",
    "suite/quantities.py:_whole_from_one_on": "a number from 1 on that is not whole is refused",
    "suite/quantities.py:_parse_fraction": "a percentage; bounds of the field refuse NaN and infinity",
    "suite/tuning.py:_parse_steps": "ASCII digits matched by a pattern; bounds of the field follow",
    "suite/warnings.py:_amplification": "a number that was computed",
    "suite/yaml_lines.py:_Loader.construct_decimal": "base ten",
    "suite/yaml_lines.py:_Loader.construct_finite": "neither infinity nor a vanished zero",
    "suite/yaml_lines.py:_walk": "empty values and duplicate keys are refused",
    "suite/yaml_lines.py:_refuse_what_is_not_plain": "aliases and tags are refused",
    "suite/yaml_lines.py:parse_yaml": "the one reader of YAML",
    "suite/yaml_lines.py:parse_value": "the one reader of a value on a command line",
    "suite/yaml_lines.py:_behind": "what stands behind a value is refused",
    "bench/mixer_contest.py:mixer_choice": "a name and key=value parts, each given once",
    "bench/workload.py:parse_frames": "whole numbers; what is none is refused",
    "cli/bench.py:bench_mixers": "names with commas; an unknown or empty one is refused",
    "cli/bench.py:bench_ops": "names with commas; an unknown or empty one is refused",
    "cli/bench.py:_bench": "names with commas; an unknown or empty one is refused",
    "cli/event_lines.py:_told": "a record's number",
    "runner/executors/choice.py:_pairs": "KEY=VALUE once each; the value is passed on as it is",
    "cli/memory_tables.py:devices_named": "an empty name is refused",
    "cli/running_cell.py:RunningCell.hear": "a record's number",
    "runner/places.py:_matches": "names of devices; an unknown one is refused",
    "runner/executors/ray.py:RayExecutor.slots": "a cluster's numbers",
    "runner/executors/ray.py:_refuse_unreachable": "a port; what is none is refused",
    "runner/executors/slurm.py:_parameters": "minutes that were computed",
    "runner/places.py:usable_cores": "the kernel's text",
    "runner/places.py:_siblings": "the kernel's text",
    "runner/places.py:_cpu_quota": "the kernel's text",
    "runner/places.py:named_gpus": "names of devices; an unknown one is refused",
}


def _reads_text(node: ast.AST) -> bool:
    name = called(node)
    if not isinstance(node, ast.Call) or name in ("parse_yaml", "parse_value", "scan", "get_single_node", "construct_object"):
        return isinstance(node, ast.Call)
    if len(node.args) != 1:
        return False
    argument = node.args[0]
    if name in ("split", "partition"):
        return isinstance(argument, ast.Constant) and argument.value in (",", "=", ".", ":", "..", "-")
    return name in ("int", "float", "Decimal") and not isinstance(argument, ast.Constant)


def test_every_place_that_reads_a_users_text_is_known():
    assert set(places(_reads_text, *ROOMS)) == set(SITES)
