"""Several processes that train one GAN, each on its share of every batch.

Every process draws the random numbers of the whole batch and takes its rows of them, so that all
together see what one would. A loss is a mean over images, the penalties included; the mean of the
processes' gradients is therefore that of the whole batch. It is taken in one message for each
update of a network, between the backward pass and the optimiser's step. torch's
DistributedDataParallel sends the same numbers while the backward pass still runs, but by hooks
that count one forward and one backward pass a step: a penalty that is differentiated twice, a
discriminator frozen while the generator learns, and one that looks at an image more than once would
each need a way around it. With dense gradients of a few megabytes, nothing is lost.

Masks of dropout are drawn and shared out in the same way, by the networks' own layers.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import itertools
import json
import os
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor

from gancli import ranks
from gancli.config import RunConfig
from gancli.errors import ConfigError, PeerError
from gancli.networks.layers import Rows, at_hand

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store, Work

# The longest that one process waits for another: for its data, say, or for the first one's scores.
_PATIENCE = datetime.timedelta(minutes=30)
# What torchrun does once a process has failed is to end the first one too. This is for the first
# to learn why, to write it down and to say it.
_HEAD_START_SECONDS = 1.5
_LOOK_SECONDS = 0.5
_FAILURE = "why a process failed"
# A process may train run after run; what is left of one meeting must not be found by the next.
_MEETINGS = itertools.count()


class Team:
    """The processes that train one GAN together; by default, one alone.

    All of them must call the same methods in the same order.

    Args:
        rank: this process's number, from 0.
        size: how many there are.
        device: where the tensors are that they exchange.
        store: where a process that fails leaves the reason.
    """

    def __init__(
        self,
        rank: int = 0,
        size: int = 1,
        device: torch.device | None = None,
        store: Store | None = None,
    ) -> None:
        self.rank, self.size = rank, size
        self.device, self.store = device, store

    def part(self, whole: Tensor) -> Tensor:
        """Return this process's rows of what belongs to a whole batch."""
        return whole.chunk(self.size)[self.rank]

    def whole(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Return the shape of a whole batch of which this process has a part of some shape."""
        return (shape[0] * self.size, *shape[1:])

    def rows(self, groups: int = 1) -> contextlib.AbstractContextManager[None]:
        """Let networks know which rows of a whole batch, of one group or several, they get here."""
        return at_hand(Rows(self.rank, self.size, groups))

    def gather(self, own: Tensor) -> Tensor:
        """Return the rows of all processes, in their order; each gives as many."""
        if self.size == 1:
            return own
        rows = [
            torch.empty_like(own, memory_format=torch.contiguous_format) for _ in range(self.size)
        ]
        self._finish(dist.all_gather(rows, own.contiguous(), async_op=True))
        return torch.cat(rows)

    def average_(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors of floats without a graph by their means over all, in one message."""
        if self.size == 1:
            return
        message = torch.cat([tensor.flatten() for tensor in tensors])
        self._finish(dist.all_reduce(message, async_op=True))
        message /= self.size
        means = torch.split(message, [tensor.numel() for tensor in tensors])
        for tensor, mean in zip(tensors, means, strict=True):
            tensor.copy_(mean.view(tensor.shape))

    def highest(self, values: Sequence[int]) -> list[int]:
        """Return for each of some numbers the highest that a process has."""
        if self.size == 1:
            return list(values)
        message = torch.tensor(values)
        self._finish(dist.all_reduce(message, dist.ReduceOp.MAX, async_op=True))
        return message.tolist()

    def meet(self) -> None:
        """Wait until every process has come here."""
        self.highest([0])

    def share_(self, tensors: Sequence[Tensor]) -> None:
        """Overwrite contiguous tensors with those of the first process."""
        if self.size > 1:
            for tensor in tensors:
                self._finish(dist.broadcast(tensor, 0, async_op=True))

    def share_words(self, words: str = "") -> str:
        """Return the words of the first process."""
        if self.size == 1:
            return words
        content = torch.frombuffer(bytearray(words.encode() or b" "), dtype=torch.uint8)
        length = torch.tensor(len(content))
        self.share_([length])
        if self.rank:
            content = torch.empty(int(length), dtype=torch.uint8)
        self.share_([content])
        return bytes(content.tolist()).decode()

    def tell(self, error: BaseException) -> None:
        """Leave the reason why this process fails for the others, unless one failed before it."""
        if self.store is None or isinstance(error, PeerError):
            return
        known = hasattr(error, "exit_code")
        reason = {
            "message": f"rank {self.rank} of {self.size}: "
            f"{'' if known else f'{type(error).__name__}: '}{error}",
            "exit_code": getattr(error, "exit_code", 1),
        }
        with contextlib.suppress(RuntimeError):  # the process that keeps the store is gone
            self.store.compare_set(_FAILURE, "", json.dumps(reason))

    def _finish(self, work: Work) -> None:
        """Wait for an exchange.

        Raises:
            PeerError: another process has failed, or is gone.
        """
        looked = time.monotonic()
        try:
            # A GPU waits for a process that is gone, and this thread would wait for the GPU.
            while (
                self.device is not None and self.device.type == "cuda" and not work.is_completed()
            ):
                if time.monotonic() - looked > _LOOK_SECONDS:
                    looked = time.monotonic()
                    if self._is_told():
                        raise self._failure()
                time.sleep(5e-5)
            work.wait()
        except RuntimeError as error:
            raise self._failure() from error

    def _is_told(self) -> bool:
        try:
            return self.store is not None and self.store.check([_FAILURE])
        except RuntimeError:
            return False

    def _failure(self) -> PeerError:
        if self.store is not None and self._is_told():
            reason = json.loads(self.store.get(_FAILURE))
            return PeerError(reason["message"], reason["exit_code"])
        return PeerError(f"another of the {self.size} processes ended without a word", 1)


@contextlib.contextmanager
def joined(device: torch.device) -> Iterator[Team]:
    """Yield this process's team, which meets where torchrun says; outside of torchrun it is alone.

    An error inside the block ends the others too, with the same exit code.

    Args:
        device: the CPU, or CUDA, of which each process takes the GPU of its number.

    Raises:
        ConfigError: the device is none for several processes.
        PeerError: the others did not come.
    """
    place = ranks.here()
    if place.size == 1:
        yield Team()
        return
    team = _meet(device, place)
    try:
        yield team
    except BaseException as error:
        team.tell(error)
        if device.type == "cpu":
            dist.destroy_process_group()  # breaks the connections: nobody waits for this one
        if place.rank:
            time.sleep(_HEAD_START_SECONDS)
        raise
    dist.destroy_process_group()


def _meet(device: torch.device, place: ranks.Place) -> Team:
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"--device {device.type}: trains with one process; take --device cpu")
    backend = "gloo"
    if device.type == "cuda":
        if torch.cuda.device_count() < place.local_size:
            raise ConfigError(
                f"--device cuda: {place.local_size} processes on a machine of "
                f"{torch.cuda.device_count()} GPUs; start one for each GPU, or take --device cpu"
            )
        torch.cuda.set_device(place.local_rank)
        backend = "cpu:gloo,cuda:nccl"
    try:
        store = _meeting_point()
        dist.init_process_group(
            backend, store=store, rank=place.rank, world_size=place.size, timeout=_PATIENCE
        )
    except RuntimeError as error:
        raise PeerError(f"the {place.size} processes did not meet: {error}", 1) from error
    return Team(place.rank, place.size, device, store)


def _meeting_point() -> Store:
    """Return a place for this meeting alone in what torchrun lets all processes write to.

    It keeps what they wrote when it starts them all anew.
    """
    from torch.distributed.distributed_c10d import PrefixStore  # noqa: PLC0415 - not in every torch

    start = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    return PrefixStore(f"gancli {start} {next(_MEETINGS)}", _common_store())


@functools.cache
def _common_store() -> Store:
    from torch.distributed.rendezvous import rendezvous  # noqa: PLC0415 - not in every torch

    store: Store = next(rendezvous("env://", timeout=_PATIENCE))[0]
    return store


def check_shares(config: RunConfig, mixing: str | None, processes: int) -> None:
    """Refuse what several processes cannot train as one would.

    Args:
        config: the run's.
        mixing: the name of a layer that compares the images of a batch, if there is one.
        processes: how many train together.

    Raises:
        ConfigError: a batch does not divide, or something needs all of it at once.
    """
    if processes == 1:
        return
    training = config.training
    for key in ("batch_size", "generator_batch_size"):
        size = getattr(training, key)
        if size is not None and size % processes:
            above = size + processes - size % processes
            near = [above - processes, above] if size > processes else [above]
            raise ConfigError(
                f"training.{key} = {size} does not divide among {processes} processes; "
                f"{' and '.join(map(str, near))} would: --set training.{key}={near[-1]}"
            )
    alone = f"and each of {processes} processes has but a part of it"
    if mixing:
        raise ConfigError(
            f"'{mixing}' compares the images of a whole batch, {alone}; take the layer out, or "
            "train with one process"
        )
    if training.unrolled_steps:
        raise ConfigError(
            f"training.unrolled_steps = {training.unrolled_steps} looks ahead with a whole batch, "
            f"{alone}; set it to 0, or train with one process"
        )
    if training.threads == "adaptive":
        raise ConfigError(
            "training.threads = adaptive times the steps of one process, and these wait for each "
            "other; take auto or a number: --threads 1"
        )
