"""ray_cluster.yaml against Ray's own checks, and against what those do not look at."""

import copy
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
# What the instances have, by AWS's own list: CPUs, GPUs.
INSTANCES = {"m7i.xlarge": (4, 0), "c7i.4xlarge": (16, 0), "g6.2xlarge": (8, 1)}


@pytest.fixture(scope="module")
def written():
    return yaml.safe_load((ROOT / "ray_cluster.yaml").read_text())


def validated(config):
    from ray.autoscaler._private.util import prepare_config, validate_config

    prepared = prepare_config(copy.deepcopy(config))
    validate_config(prepared)
    return prepared


def workers(config):
    return {name: kind for name, kind in config["available_node_types"].items() if name != config["head_node_type"]}


def test_ray_accepts_the_file(written):
    prepared = validated(written)
    assert prepared["head_node_type"] == "head"
    assert prepared["max_workers"] == 40


@pytest.mark.parametrize(
    "damage",
    [
        lambda config: config.update(idle_timeout_minuts=5),
        lambda config: config.update(head_node_type="boss"),
        lambda config: config["available_node_types"]["cpu"].update(min_workers=99),
    ],
)
def test_ray_refuses_a_damaged_one(written, damage):
    broken = copy.deepcopy(written)
    damage(broken)
    with pytest.raises(Exception, match=r"idle_timeout_minuts|head_node_type|min_workers|max_workers"):
        validated(broken)


def test_every_kind_of_node_can_be_launched(written):
    for name, kind in written["available_node_types"].items():
        node = kind["node_config"]
        known = {"InstanceType", "ImageId", "IamInstanceProfile", "BlockDeviceMappings", "InstanceMarketOptions"}
        assert set(node) <= known, name
        assert node["InstanceType"] in INSTANCES, name
        assert re.fullmatch(r"ami-[0-9a-f]{17}", node["ImageId"]), name
        assert node["IamInstanceProfile"]["Arn"].startswith("arn:aws:iam::"), name
        assert node["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] >= 100, name


def test_resources_are_what_the_instances_have(written):
    for name, kind in workers(written).items():
        cpus, gpus = INSTANCES[kind["node_config"]["InstanceType"]]
        assert kind["resources"].get("CPU") == cpus, name
        assert kind["resources"].get("GPU", 0) == gpus, name


def test_the_head_runs_no_stage(written):
    head = written["available_node_types"]["head"]
    assert head["resources"] == {"CPU": 0}
    assert head["max_workers"] == 0, "else Ray would start more of them as workers"


def test_workers_scale_from_none_and_go_when_idle(written):
    kinds = workers(written)
    assert {kind["min_workers"] for kind in kinds.values()} == {0}
    assert all(kind["max_workers"] > 0 for kind in kinds.values())
    assert sum(kind["max_workers"] for kind in kinds.values()) <= written["max_workers"]
    assert 0 < written["idle_timeout_minutes"] <= 10


def test_there_are_decoders_on_spot_and_encoders_with_gpus(written):
    kinds = workers(written)
    assert kinds["cpu"]["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert kinds["gpu"]["resources"]["GPU"] >= 1
    assert written["provider"]["cache_stopped_nodes"] is False


def test_every_node_asks_for_the_token(written):
    starts = [
        line for key in ("head", "worker") for line in written[f"{key}_start_ray_commands"] if "ray start" in line
    ]
    assert len(starts) == 2
    assert all("RAY_AUTH_MODE=token" in line for line in starts)
    assert "/home/ray/.ray/auth_token" in written["file_mounts"]
    assert "--dashboard-host=127.0.0.1" in starts[0]


def test_nodes_install_what_the_tests_ran_with(written):
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split("\n") if "==" in line)
    assert f":{pinned['ray']}-py311-" in written["docker"]["image"]
    installs = [line for line in written["setup_commands"] + written["head_setup_commands"] if "pip install" in line]
    assert len(installs) == 2
    assert all("-c constraints.txt" in line and "://" not in line for line in installs)
