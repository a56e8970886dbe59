"""A Ray cluster that this process has joined, and how its nodes are used."""

import contextlib
import importlib
import logging
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeAlias

import marey
from marey.base.errors import MareyError, RunError
from marey.base.words import counted

_WAIT = 10.0
"""Seconds in which the head of a cluster has to answer."""
_NODES = 120.0
"""Seconds in which every node has to say which Marey it has."""


def require_ray() -> ModuleType:
    """Ray with Ray Data, imported when it is first asked for.

    Raises:
        MareyError: it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")  # a late call must not start a cluster of its own
    os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "1")  # else 20 rounds of 40 seconds where no cluster answers
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # Ray warns that this will be its default
    try:
        importlib.import_module("ray.data")
        return importlib.import_module("ray")
    except ImportError:
        raise MareyError('--engine ray needs Ray Data: pip install "marey[ray]"') from None


_Node: TypeAlias = dict[str, Any]
"""A node as `ray.nodes` describes it."""


@dataclass(frozen=True)
class Cluster:
    """The nodes, and how they are used."""

    address: str | None
    """HOST:PORT of the head; None: this machine alone."""
    nodes: int
    gpus: int
    actors: int
    """Networks at a time: one for each GPU, else for each group of cores."""
    cores: int
    """Of the group of one network."""
    decoding: int
    """Videos that are decoded at a time, over all nodes."""

    @property
    def title(self) -> str:
        """In the first line of a command."""
        each = "GPU" if self.gpus else counted(self.cores, "core")
        return (
            f"on {counted(self.nodes, 'node')} of Ray: {counted(self.actors, 'network')}, one for each {each}; "
            f"{counted(self.decoding, 'video')} decoded at a time"
        )

    def state(self) -> str:
        """What is left of it, for the message of a job that cannot go on."""
        ray = require_ray()
        try:
            alive = sum(node["Alive"] for node in ray.nodes())
            total, free = ray.cluster_resources(), ray.available_resources()
        except Exception:  # whatever a lost head makes of the question
            return "and the cluster does not answer"
        kinds = (
            f"{free.get(kind, 0):g} of {total.get(kind, 0):g} {kind}s" for kind in ("CPU", "GPU") if total.get(kind)
        )
        return f"with {counted(alive, 'node')} alive, free are {' and '.join(kinds)}"

    def join_again(self) -> None:
        """Leave the cluster and join it anew: what this process had running there ends, and gives its place back."""
        require_ray().shutdown()
        _join(self.address)


@contextlib.contextmanager
def joined(address: str | None, *, cores: int | None = None, decoding: int | None = None) -> Iterator[Cluster]:
    """Join a cluster for the length of a block, or start one on this machine.

    Args:
        address: HOST:PORT of its head, or "auto" for one that runs on this machine; None starts one.
        cores: Of the group of one network where there are no GPUs; None: those of the smallest node.
        decoding: Videos that are decoded at a time; None: one for each CPU.

    Raises:
        MareyError: Ray is not installed.
        RunError: no cluster answers there, it has another Ray or Python, or a node has another Marey or none.
    """
    ray = require_ray()
    check_address(address)
    with contextlib.redirect_stdout(sys.stderr):  # Ray writes what happens to workers to standard output
        _join(address)
        try:
            nodes = [node for node in ray.nodes() if node["Alive"]]
            _check_nodes(nodes)
            yield _planned(address, nodes, cores, decoding)
        finally:
            ray.shutdown()


def _planned(address: str | None, nodes: Sequence[_Node], cores: int | None, decoding: int | None) -> Cluster:
    cpus = [int(node["Resources"].get("CPU", 0)) for node in nodes]
    gpus = sum(int(node["Resources"].get("GPU", 0)) for node in nodes)
    usable = [count for count in cpus if count]
    if not usable and not gpus:
        raise RunError(
            "the Ray cluster has no CPUs and no GPUs to work with: start nodes with `ray start --address=...`."
        )
    each = cores or min(usable or [1])
    if not gpus and each > max(usable):
        raise RunError(f"--actor-cores {each}: no node has more than {counted(max(usable), 'CPU')}.")
    actors = gpus or sum(count // each for count in usable)
    return Cluster(address, len(usable) or len(nodes), gpus, actors, each, decoding or max(1, sum(cpus)))


def check_address(address: str | None) -> None:
    """See that a program listens there: Ray alone would try for many minutes.

    Raises:
        RunError: no program does, or it is no address.
    """
    if address in (None, "auto"):
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise RunError(
            f"--address {address}: expected HOST:PORT of the cluster's head, such as 10.0.0.1:6379, or auto."
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_WAIT).close()
    except OSError as error:
        raise RunError(f"--address {address}: no Ray cluster answers there ({error}).") from None


def _join(address: str | None) -> None:
    ray = require_ray()
    try:
        ray.init(
            address=address or "local",
            include_dashboard=None if address else False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = f"the Ray cluster at {address}" if address else "a Ray cluster of this machine"
        raise RunError(f"{where} cannot be joined: {' '.join(str(error).split())}") from None
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _version_here() -> str:
    return marey.__version__


def _check_nodes(nodes: Sequence[_Node]) -> None:
    """See that every node has this Marey.

    Raises:
        RunError: one has another, or none.
    """
    ray = require_ray()
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ask = ray.remote(num_cpus=0, max_retries=0)(_version_here)
    answers = {
        node["NodeManagerAddress"]: ask.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote()
        for node in nodes
    }
    for node, answer in answers.items():
        try:
            found = ray.get(answer, timeout=_NODES)
        except ray.exceptions.RayError as error:
            why = str(error).strip().splitlines()[-1]
            raise RunError(f"the node {node} cannot run Marey ({why}): install it there as here.") from None
        if found != marey.__version__:
            raise RunError(
                f"the node {node} has Marey {found}, and here it is {marey.__version__}: install one everywhere."
            )
