"""The arguments of each command."""

from __future__ import annotations

import argparse
from pathlib import Path

from recmodel import __version__

CONTROLLERS = ("engine", "hpa:0.7:0.0", "keda:0.7:0.5")
CONTROLLERS_OF_MANY_POOLS = ("engine", "static")  # a fixed share splits the traffic of two pools only


def parser() -> argparse.ArgumentParser:
    """The parser; ``command`` of what it gives is the command's name."""
    found = argparse.ArgumentParser(
        prog="recmodel", description="RecModel, a Kubernetes operator for elastic recommender inference."
    )
    found.add_argument("--version", action="version", version=__version__)
    commands = found.add_subparsers(dest="command", required=True, metavar="COMMAND")

    commands.add_parser("crds", help="print the CustomResourceDefinition")

    decide = commands.add_parser(
        "decide", help="read one observation per line from stdin and write one decision per line"
    )
    decide.add_argument("--model", type=Path, required=True, metavar="FILE", help="a RecModel manifest")
    decide.add_argument("--history", type=Path, metavar="CSV", help="past load: header seconds,rps, uniform step")

    explain = commands.add_parser(
        "explain", help="explain the replicas of a RecModel (kubectl get -o json) or of recorded decisions"
    )
    explain.add_argument("file", nargs="?", type=Path, metavar="FILE", help="default: standard input")

    _adopt_arguments(
        commands.add_parser(
            "adopt", help="print a RecModel in mode Recommend for workloads that run; nothing is written"
        )
    )

    for name, does in (
        ("handover", "hand the workloads of a RecModel by reference over to the operator, from what scales them now"),
        ("handback", "give them back, with their autoscalers exactly as they were"),
    ):
        command = commands.add_parser(name, help=f"{does}; without --yes only the plan is shown")
        _handover_arguments(command, keeps=name == "handover")

    doctor = commands.add_parser(
        "doctor", help="check the installation, in the operator's pod; exit code 1 where something is wrong"
    )
    doctor.add_argument("names", nargs="*", metavar="NAMESPACE/NAME", help="RecModels to check (default: all)")

    simulate = commands.add_parser(
        "simulate", help="simulate a day of load under several controllers, request by request"
    )
    simulate.add_argument(
        "--day", type=int, metavar="N", help="day of the load to judge, from 0 (default: the last whole day)"
    )
    _backtest_arguments(
        commands.add_parser(
            "backtest", help="what the operator would have run on your own past: from Prometheus, or a load in a file"
        )
    )
    _report_arguments(commands.add_parser("report", help="one page of what Prometheus says of the last week"))
    _simulation_arguments(simulate, required=True)
    _drawn_arguments(simulate)

    _optimise_arguments(
        commands.add_parser(
            "optimise", help="make and measure lighter variants of a model, and choose the fastest within the budget"
        )
    )
    return found


def _adopt_arguments(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add(
        "workloads",
        nargs="+",
        metavar="KIND/NAME",
        help="deployment/ranker-cpu statefulset/ranker-gpu rollout.argoproj.io/ranker ...",
    )
    add("-n", "--namespace", default="", metavar="NAME", help="namespace of the workloads (default: default)")
    add("--name", metavar="NAME", help="name of the RecModel (default: what the workloads' names begin with)")
    add("--objective", metavar="'pN<TIME'", help="such as 'p95<100ms', in quotes")
    add(
        "--cost", action="append", default=[], metavar="WORKLOAD=PRICE", help="of one replica, an hour: ranker-cpu=0.20"
    )
    add("--route", metavar="KIND/NAME", help="httproute/ranker, which shares the requests out among the workloads")
    add("--prometheus", metavar="URL", help="where Prometheus answers (default: RECMODEL_PROMETHEUS_URL)")


def _handover_arguments(command: argparse.ArgumentParser, keeps: bool) -> None:
    add = command.add_argument
    add("name", metavar="NAME", help="the RecModel")
    add("-n", "--namespace", default="default", metavar="NAME", help="its namespace (default: default)")
    add("--yes", action="store_true", help="carry it out")
    if keeps:
        add("--keep-on-delete", action="store_true", help="let deleting the RecModel give nothing back")


def _backtest_arguments(command: argparse.ArgumentParser) -> None:
    past = command.add_argument_group("from Prometheus, against what ran there")
    _past_arguments(past, "14d", required=False)
    past.add_argument(
        "--startup", type=_above_zero, metavar="SECONDS", help="from a pod's creation to Ready, where it is not known"
    )
    from_file = command.add_argument_group("from a file, against simulated controllers")
    from_file.add_argument("--days", type=int, default=1, metavar="N", help="days to judge (default 1)")
    _simulation_arguments(from_file, required=False)
    _drawn_arguments(command)


def _report_arguments(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    _past_arguments(command, "7d", required=True)
    add("--budget", default="0.5%", metavar="PERCENT", help="of the minutes that may be over (default 0.5%%)")
    add("--by", metavar="LABEL", help="the label of the histogram that tells the kinds of requests apart, such as path")
    add(
        "--route",
        metavar="NAME",
        help="in its place: the route whose rules are the kinds of requests, at Envoy Gateway",
    )
    add("--recmodel", metavar="NAME", help="whose decisions are shown (default: whose pools have these workloads)")
    add("--time-zone", default="UTC", metavar="ZONE", help="of the hours, such as Europe/Berlin (default UTC)")
    add("--html", type=Path, metavar="FILE", help="write the page there (default: standard output)")
    add("--figure", type=Path, metavar="PNG", help="write a picture as well")
    add("--serve", action="store_true", help="show the page over HTTP in place of writing it, read again each minute")
    add("--port", type=_port, metavar="N", help="with --serve: its port (default 8000; 0: any)")
    add("--address", metavar="IP", help="with --serve: where it listens (default 127.0.0.1: this machine alone)")


def _drawn_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--figure", type=Path, metavar="PNG", help="write a picture")
    command.add_argument("--seed", type=int, default=0)


def _past_arguments(group: argparse.ArgumentParser | argparse._ArgumentGroup, newest: str, required: bool) -> None:
    add = group.add_argument
    add("--prometheus", required=required, metavar="URL", help="where Prometheus answers")
    add("-n", "--namespace", default="default", metavar="NAME", help="namespace of the pods (default: default)")
    add(
        "--deployment", action="append", default=[], metavar="NAME",
        help="the Deployment or StatefulSet that served; again for each pool of the same model",
    )  # fmt: skip
    add("--from", dest="begin", metavar="TIME", help=f"14d, 90m, or 2026-03-01T12:00 (default {newest})")
    add("--to", dest="end", metavar="TIME", help="the same (default: now)")
    add("--objective", default="p95<100ms", metavar="'pN<TIME'", help="in quotes (default 'p95<100ms')")
    add("--cost", action="append", default=[], metavar="NAME=PRICE", help="of one replica, an hour: ranker-cpu=0.20")
    add(
        "--histogram", metavar="NAME", help="of the request times (default: the one that a profile, or its name, tells)"
    )


def _simulation_arguments(command: argparse.ArgumentParser | argparse._ArgumentGroup, required: bool) -> None:
    command.add_argument("--model", type=Path, required=required, metavar="FILE", help="a RecModel manifest")
    command.add_argument(
        "--load", type=Path, required=required, metavar="CSV", help="seconds,rps, uniform step; may be gzip"
    )
    command.add_argument(
        "--peak", type=_above_zero, metavar="RPS", help="scale each judged day to this peak, as the benchmark does"
    )
    command.add_argument(
        "--accelerated", action="append", default=[], metavar="POOL", help="simulate this pool as a batching one"
    )
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="POOL.FIELD=NUMBER",
        help="how a pool serves: cpu.workers=4 cpu.service_seconds=0.03 cpu.startup_seconds=60 gpu.max_batch=32 "
        "gpu.base_seconds=0.01 gpu.item_seconds=0.001 ...; what is assumed is printed first",
    )
    command.add_argument(
        "--controller", action="append", metavar="NAME",
        help=f"engine, static, hpa:TARGET:SHARE, keda:TARGET:SHARE or best:RATIO (default {' '.join(CONTROLLERS)}; "
        f"with more than two pools {' '.join(CONTROLLERS_OF_MANY_POOLS)})",
    )  # fmt: skip


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text} is no port: write a number from 0 to 65535")
    return int(text)


def _above_zero(text: str) -> float:
    value = float(text)
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a finite number above 0")
    return value


def _optimise_arguments(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--model", type=Path, required=True, metavar="ONNX", help="the full model, fp32; a score a row")
    add("--evaluation", type=Path, required=True, metavar="NPZ", help="later rows: the inputs, label, and group")
    add(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for the result, the kept models, and the state that a rerun continues from",
    )
    add(
        "--report",
        type=Path,
        metavar="NPZ",
        help="rows later still, which choose nothing: the kept ones' figures are theirs",
    )
    add(
        "--budget",
        default="1%",
        metavar="PERCENT",
        help="largest loss, a share of the metric or of the lead (default 1%%)",
    )
    add(
        "--baseline",
        metavar="COLUMN",
        help="the budget is a share of the full model's lead over this score (chance: over an AUC of 0.5)",
    )
    add("--output", metavar="NAME[:COLUMN]", help="the score, where the model has several outputs or columns")
    add("--sigmoid", action="store_true", help="the score is a logit: a sigmoid is added, and served")
    add("--metric", default="auc", metavar="NAME", help="auc, log_loss or ndcg (default auc)")
    add("--training", type=Path, metavar="NPZ", help="earlier rows; without them only 8-bit variants are tried")
    add("--adapter", metavar="MODULE:CLASS", help="training adapter (default: JAX, for any ONNX graph)")
    add("--design", action="append", default=[], metavar="NAME=ONNX", help="a lighter untrained graph, same inputs")
    add("--recipes", type=Path, metavar="JSON", help="how to train: fineTune, fromScratch, designs")
    add("--quantisers", metavar="LIST", help="quantisers for 8 bits: onnxruntime, nncf (default: those installed)")
    add("--widths", default="50,25,12.5", metavar="LIST", help="per cent of the hidden units that pruning keeps")
    add("--sizes", default="1,50,200", metavar="LIST", help="candidates in a request (default 1,50,200)")
    add("--serving-size", type=int, metavar="N", help="the size that decides (default: the largest)")
    add("--server", type=Path, metavar="DIR", help="MLServer's folder: model-settings.json and the runtime class")
    add("--server-program", type=Path, metavar="FILE", help="MLServer's executable; with --server")
    add("--core", type=int, metavar="N", help="core of the servers (default: the last one)")
    add("--seed", type=int, default=7)
    add("--record", metavar="NAMESPACE/RECMODEL", help="write the record of the kept variants to the cluster")
    add("--record-file", type=Path, metavar="YAML", help="write the same ConfigMap to a file")
    add("--record-uri", default="", metavar="PREFIX", help="location of the kept models (default: DIR/models)")
