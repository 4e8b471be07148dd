"""Which processes train together, as the environment variable TF_CONFIG names them."""
import json
import re
from typing import Any, Dict, Iterable, List, NamedTuple, NoReturn, Optional

_CHIEFS = ("chief", "master")
_JOBS = _CHIEFS + ("worker", "ps")
PS, ALL_REDUCE = "ps", "all_reduce"  # the strategies
STRATEGIES = PS, ALL_REDUCE
_EXAMPLE = ('{"cluster": {"chief": ["a:2222"], "worker": ["b:2222"], "ps": ["c:2222"]}, '
            '"task": {"type": "worker", "index": 0}}')


def describe_difference(names: Iterable[str]) -> str:
    """Says that the configurations of some workers, named as in `Cluster.workers`, are not that of the chief."""
    return (f"the configuration of {', '.join(names)} is not that of the chief; all workers need the same "
            "trainval.prototxt and the same options --set and --seed")


class Cluster(NamedTuple):
    """The processes of a training, and which of them this one is.

    Attributes:
      addresses: {job: [host:port of each of its tasks]}. The jobs are chief (or master), worker and ps.
      job: the job of this process.
      task: its number in that job, from 0.
    """
    addresses: Dict[str, List[str]]
    job: str
    task: int

    @property
    def chief(self) -> str:
        """The job of the chief: chief or master; worker where there is neither, and worker 0 is the chief."""
        return next(job for job in _CHIEFS + ("worker",) if job in self.addresses)

    @property
    def is_chief(self) -> bool:
        """Whether this process saves, beside training as a worker."""
        return self.job == self.chief and self.task == 0

    @property
    def is_ps(self) -> bool:
        """Whether this process only holds parameters."""
        return self.job == "ps"

    @property
    def num_workers(self) -> int:
        """The number of processes that compute gradients, the chief among them."""
        return len(self.workers)

    @property
    def part(self) -> int:
        """Which part of the data this worker reads, from 0, which is the chief's."""
        return self.task if self.job == self.chief else 1 + self.task

    @property
    def device(self) -> str:
        """What the names of this process's devices begin with."""
        return f"/job:{self.job}/task:{self.task}"

    def tasks(self, *jobs: str) -> Dict[str, str]:
        """Returns {name of a task, such as "ps 0": its address} of some jobs. Its chief is "the chief"."""
        return {"the chief" if job == self.chief and i == 0 else f"{job} {i}": address
                for job in jobs for i, address in enumerate(self.addresses.get(job, []))}

    @property
    def workers(self) -> Dict[str, str]:
        """{name: address} of all that compute gradients, the chief first, in the order of their parts."""
        return self.tasks(*_CHIEFS, "worker")

    @property
    def others(self) -> Dict[str, str]:
        """{name: address} of the workers, without this one."""
        own = self.addresses[self.job][self.task]
        return {name: address for name, address in self.workers.items() if address != own}


def read_cluster(text: Optional[str], strategy: str = PS) -> Optional[Cluster]:
    """Reads TF_CONFIG.

    Args:
      text: its value, JSON; None or empty: it is not set.
      strategy: one of STRATEGIES. For all_reduce, no ps is allowed, and worker 0 is the chief where there is no chief.

    Returns:
      The Cluster; None if it names no process but this one, which then trains by itself.

    Raises:
      ValueError: it is not what it should be. The message says what, and shows a right one.
    """
    if not text:
        return None
    try:
        value = json.loads(text)
    except ValueError as error:
        _refuse(f"it is not JSON ({error})")
    cluster = _field(value, "cluster", dict, "", {})
    task = _field(value, "task", dict, "", {})
    for job in cluster:
        if job not in _JOBS:
            hint = "; evaluate by python -m aster.eval" if job == "evaluator" else ""
            _refuse(f"cluster has the job {job!r}, expected only chief (or master), worker and ps{hint}")
        _check_addresses(job, _field(cluster, job, list, "cluster."))
    if sum(map(len, cluster.values())) <= 1:
        return None
    _check_jobs(cluster, strategy)
    everywhere = [address for addresses in cluster.values() for address in addresses]
    twice = sorted({address for address in everywhere if everywhere.count(address) > 1})
    if twice:
        _refuse(f"cluster has an address twice: {', '.join(twice)}")
    job, index = _field(task, "type", str, "task."), _field(task, "index", int, "task.")
    if job not in cluster:
        _refuse(f"task.type is {job!r}, and cluster has no such job")
    if not 0 <= index < len(cluster[job]):
        _refuse(f"task.index is {index}, and cluster has {len(cluster[job])} of the job {job}, counted from 0")
    return Cluster({job: addresses for job, addresses in cluster.items() if addresses}, job, index)


def _check_jobs(cluster: Dict[str, List[str]], strategy: str) -> None:
    chiefs = [address for job in _CHIEFS for address in cluster.get(job, [])]
    if len(chiefs) > 1 or not chiefs and strategy == PS:
        _refuse("cluster must have one chief (or master)")
    if not cluster.get("ps") and strategy == PS:
        _refuse("cluster has no ps; a training of several processes needs one or more, which hold the parameters, or "
                "the option --strategy all_reduce, which needs none")
    if cluster.get("ps") and strategy == ALL_REDUCE:
        _refuse("cluster has a ps, and --strategy all_reduce has none; leave it out, or the option")


def _field(message: Any, name: str, kind: type, path: str, default: Any = None) -> Any:
    value = message.get(name, default) if isinstance(message, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        expected = {dict: "an object", list: "a list", str: "a text", int: "a number"}[kind]
        _refuse(f"{path}{name} is {'missing' if value is None else repr(value)}, expected {expected}")
    return value


def _check_addresses(job: str, addresses: List[Any]) -> None:
    for i, address in enumerate(addresses):
        match = re.fullmatch(r"([^\s:/]+|\[[0-9a-fA-F:]+\]):([0-9]{1,5})", str(address))
        if not match or not 0 < int(match.group(2)) < 65536:
            _refuse(f"cluster.{job}[{i}] is {address!r}, expected host:port")
        if not _is_host(match.group(1)):
            _refuse(f"cluster.{job}[{i}] is {address!r}, and {match.group(1)!r} is not the name of a host: between "
                    "dots it has 1 to 63 letters, digits, hyphens or underscores")


def _is_host(host: str) -> bool:
    if host.startswith("["):
        return True
    try:
        return bool(re.fullmatch(r"[A-Za-z0-9._-]+", host.encode("idna").decode("ascii")))
    except UnicodeError:
        return False


def _refuse(problem: str) -> NoReturn:
    raise ValueError(f"TF_CONFIG: {problem}. Expected something like {_EXAMPLE}")
