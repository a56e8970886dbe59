"""Join a Ray cluster, check its nodes, and plan how many networks and decoding processes run on them."""

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
from marey.base.processes import MOST_DECODING, usable_cores
from marey.base.words import counted
from marey.engines.sigterm import sigterm_restored

_WAIT = 10.0
"""Seconds within which the head of a cluster must answer."""
_NODES = 120.0
"""Seconds within which each node must report its version of Marey."""


def require_ray() -> ModuleType:
    """Ray with Ray Data, imported at the first call.

    Raises:
        MareyError: it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")  # a call after `shutdown` must not start another cluster
    os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "1")  # else 20 attempts of 40 seconds if no cluster answers
    os.environ.setdefault(
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0"
    )  # avoids Ray's warning that this will be its default
    try:
        importlib.import_module("ray.data")
        return importlib.import_module("ray")
    except ImportError:
        raise MareyError('--engine ray needs Ray Data: pip install "marey[ray]"') from None


_Node: TypeAlias = dict[str, Any]
"""A node as `ray.nodes` describes it."""


@dataclass(frozen=True)
class Cluster:
    """A cluster that this process has joined, and how its nodes are used."""

    address: str | None
    """HOST:PORT of the head, or "auto"; None: this machine alone."""
    nodes: int
    """Number of nodes."""
    gpus: int
    """Number of GPUs that networks run on; 0: networks run on CPU cores."""
    actors: int
    """Number of networks: one for each GPU, else for each group of cores."""
    cores: int
    """Cores for one network; with GPUs, threads of one network."""
    decoding: int
    """Videos that are decoded at a time, over all nodes."""

    @property
    def title(self) -> str:
        """A clause for the first line of a command."""
        each = "each on a GPU" if self.gpus else f"each on {counted(self.cores, 'core')}"
        return (
            f"on {counted(self.nodes, 'node')} of Ray: {counted(self.actors, 'network')}, {each}; "
            f"{counted(self.decoding, 'video')} decoded at a time"
        )

    def state(self) -> str:
        """The nodes that are alive and the free resources, for the message of a failed attempt."""
        ray = require_ray()
        try:
            alive = sum(node["Alive"] for node in ray.nodes())
            total, free = ray.cluster_resources(), ray.available_resources()
        except Exception:  # a lost head leads to various errors
            return "and the cluster does not answer"
        kinds = (
            f"{free.get(kind, 0):g} of {total.get(kind, 0):g} {kind}s" for kind in ("CPU", "GPU") if total.get(kind)
        )
        return f"with {counted(alive, 'node')} alive, free are {' and '.join(kinds)}"

    def join_again(self) -> None:
        """Leave the cluster and join it again. All work that this process started there ends, and its resources are free.

        Raises:
            RunError: the cluster does not answer any more.
        """
        require_ray().shutdown()
        check_address(self.address)
        _join(self.address)


@contextlib.contextmanager
def join_cluster(
    address: str | None, *, device: str = "auto", cores: int | None = None, decoding: int | None = None
) -> Iterator[Cluster]:
    """A block during which this process is part of a Ray cluster.

    Args:
        address: HOST:PORT of the head, or "auto" for a cluster that runs on this machine; None starts one here.
        device: What networks run on: "cuda", "cpu", or "auto" for GPUs if there are any.
        cores: Cores for one network, without GPUs; None: those of the smallest node.
        decoding: Videos that are decoded at a time; None: one for each CPU, at most eight for each node.

    Raises:
        MareyError: Ray is not installed.
        RunError: no cluster answers there, it has another Ray or Python, it lacks the device or the cores, or a node has
            another version of Marey or none.
    """
    ray = require_ray()
    check_address(address)
    with contextlib.redirect_stdout(sys.stderr):  # Ray prints messages about workers to standard output
        _join(address)
        try:
            nodes = _alive()
            _check_nodes(nodes)
            yield _planned(address, nodes, device=device, cores=cores, decoding=decoding)
        finally:
            ray.shutdown()


def _alive() -> list[_Node]:
    return [node for node in require_ray().nodes() if node["Alive"]]


def _planned(
    address: str | None, nodes: Sequence[_Node], *, device: str, cores: int | None, decoding: int | None
) -> Cluster:
    """Plan how the nodes are used.

    Raises:
        RunError: they lack the device or the cores that were asked for.
    """
    cpus = [count for node in nodes if (count := int(node["Resources"].get("CPU", 0)))]
    gpus = 0 if device == "cpu" else sum(int(node["Resources"].get("GPU", 0)) for node in nodes)
    if not cpus:
        raise RunError(
            "the Ray cluster has no CPUs, and videos are decoded by CPUs: start nodes with `ray start --address=...`."
        )
    if decoding == 0:
        raise RunError("--workers 0: on Ray other processes decode videos: give 1 or more, or nothing.")
    if device == "cuda" and not gpus:
        raise RunError("--device cuda: the Ray cluster has no GPUs: leave it out.")
    if device not in ("auto", "cpu", "cuda"):
        raise RunError(f"--device {device}: on Ray each network has one GPU: give cuda, cpu or nothing.")
    if gpus and cores:
        raise RunError(
            f"--actor-cores {cores}: networks run on {counted(gpus, 'GPU')} here: leave it out, or add --device cpu."
        )
    each = cores or min(cpus)
    if each > max(cpus):
        raise RunError(f"--actor-cores {each}: no node has more than {counted(max(cpus), 'CPU')}.")
    actors = gpus or sum(count // each for count in cpus)
    return Cluster(address, len(cpus), gpus, actors, each, decoding or sum(min(count, MOST_DECODING) for count in cpus))


def check_address(address: str | None) -> None:
    """Check that something listens at the address of a cluster: if nothing does, Ray alone would try for many minutes.

    Raises:
        RunError: nothing answers, or it is no address.
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
    except (OSError, UnicodeError, OverflowError) as error:  # the last two: not a host name, not a port number
        raise RunError(f"--address {address}: no Ray cluster answers there ({error}).") from None


def _join(address: str | None) -> None:
    """Join the cluster, or start one on this machine.

    Raises:
        RunError: Ray cannot join it.
    """
    ray = require_ray()
    own = {} if address else {"include_dashboard": False, "num_cpus": usable_cores()}
    try:
        with sigterm_restored():  # Ray sets a handler
            ray.init(address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **own)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        where = f"the Ray cluster at {address}" if address else "a Ray cluster of this machine"
        why = " ".join(str(error).split()).rstrip(".")
        raise RunError(f"{where} cannot be joined: {why}.{_token_hint(address)}") from None
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _token_hint(address: str | None) -> str:
    """A hint about authentication: without a token Ray only reports a failed connection."""
    if address is None or "RAY_AUTH_MODE" in os.environ:
        return ""
    return " If its head was started with a token, set RAY_AUTH_MODE=token here and on every node."


def _version_here() -> str:
    """The version of Marey on the node that runs this, after importing everything that a node needs."""
    importlib.import_module("marey.engines.ray_engine")
    return marey.__version__


def _check_nodes(nodes: Sequence[_Node]) -> None:
    """Check that every node has this version of Marey and its dependencies.

    Raises:
        RunError: a node has another version or none, or does not answer.
    """
    ray = require_ray()
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    version = ray.remote(num_cpus=0, max_retries=0)(_version_here)
    affinities = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=False) for node in nodes]
    references = [version.options(scheduling_strategy=affinity).remote() for affinity in affinities]
    for node, reference in zip(nodes, references, strict=True):
        name = node["NodeManagerAddress"]
        try:
            found = ray.get(reference, timeout=_NODES)
        except ray.exceptions.GetTimeoutError:
            raise RunError(f"the node {name} did not answer within {_NODES:g} s: check that it works.") from None
        except ray.exceptions.RayError as error:
            raise RunError(
                f"the node {name} cannot run Marey ({last_line(error)}): install it there as here."
            ) from None
        if found != marey.__version__:
            raise RunError(
                f"the node {name} has Marey {found}, and this one {marey.__version__}: install the same version everywhere."
            )


def last_line(error: Exception) -> str:
    """The last line of an error of Ray, which states the cause after a long traceback."""
    return (str(error).strip() or type(error).__name__).splitlines()[-1]
