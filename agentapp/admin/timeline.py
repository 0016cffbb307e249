"""The waterfall of a run as SVG coordinates: a band per stage, a lane per job, a bar per stretch of time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from agentapp.admin import cells, spans, timescale
from agentapp.admin.spans import Span, Track, tracks_of, work_in
from agentapp.admin.timescale import TimeScale
from agentapp.models import Job, Stage, Workflow
from agentapp.policies.counting import count

WIDTH, LABEL_PX, RIGHT_PX = 1000, 220, 14
AXIS_PX, LANE_PX, BAND_PAD_PX = 26, 16, 5
_HEIGHTS = {"queued": 4, "gate": 4, "hold": 4, "retry": 4, "person": 8}
_RAN = {"running", "failed", "lost"}
# Beyond this many jobs a stage shares lanes: runs that do not overlap stand in one row.
_MOST_LANES = 14
LEGEND = (
    ("queued", "waits for a worker"),
    ("gate", "waits for a gate"),
    ("running", "runs"),
    ("running model", "calls a model"),
    ("running tool", "uses a tool"),
    ("running effect", "sends"),
    ("failed", "failed"),
    ("lost", "worker lost"),
    ("retry", "waits for a retry"),
    ("hold", "held after its approval"),
    ("person", "waits for a person"),
)


@dataclass(frozen=True)
class Bar:
    """A rectangle; pixels."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    title: str


@dataclass(frozen=True)
class Band:
    """A stage: its label and the stripe behind its lanes."""

    y: float
    height: float
    name: str
    note: str
    odd: bool


@dataclass(frozen=True)
class Mark:
    """A label on the axis, or a cut in it (`width` > 0)."""

    x: float
    text: str
    width: float = 0.0


@dataclass
class Timeline:
    """What templates/agentapp/timeline.html draws."""

    height: float = AXIS_PX
    bands: list[Band] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    ticks: list[Mark] = field(default_factory=list)
    cuts: list[Mark] = field(default_factory=list)
    summary: str = ""
    legend = LEGEND
    width = WIDTH
    plot_x = LABEL_PX
    axis_y = AXIS_PX


def draw(workflow: Workflow) -> Timeline | None:
    """Lay out the run; None as long as nothing has happened."""
    tracks = tracks_of(workflow)
    end_s = max((span.end_s for track in tracks for span in track.spans), default=0.0)
    if not end_s:
        return None
    axis = timescale.scale(work_in(tracks), end_s=end_s, width=WIDTH - LABEL_PX - RIGHT_PX)
    by_stage: dict[int, list[Track]] = defaultdict(list)
    for track in tracks:
        by_stage[track.stage_id].append(track)
    # Of a wide stage not all parts are drawn.
    steps = max(len(tracks), workflow.jobs_total)
    timeline = Timeline(summary=f"{count(steps, 'step')} over {cells.duration(end_s)}")
    for stage in Stage.objects.filter(workflow=workflow).order_by("position"):
        if stage.spec.get("skipped") or any(track.spans for track in by_stage[stage.pk]):
            _add_stage(timeline, stage, by_stage[stage.pk], axis)
    timeline.ticks = list(_ticks(axis))
    timeline.cuts = [Mark(LABEL_PX + cut.x, cells.duration(cut.end_s - cut.start_s), cut.width) for cut in axis.cuts]
    return timeline


def _ticks(axis: TimeScale) -> Iterator[Mark]:
    """Yield the marks of the axis. Far from the start, moments that are close to each other have the same words."""
    before = ""
    for moment in axis.ticks():
        words = cells.duration(moment)
        if words != before:
            yield Mark(LABEL_PX + axis.x(moment), words)
        before = words


def _add_stage(timeline: Timeline, stage: Stage, tracks: list[Track], axis: TimeScale) -> None:
    lanes = [list(_titled(track)) for track in tracks if track.spans]
    dropped = 0
    if len(lanes) > _MOST_LANES:
        lanes, dropped = _shared_lanes(tracks)
    top = timeline.height
    for index, lane in enumerate(lanes):
        y = top + BAND_PAD_PX + index * LANE_PX
        timeline.bars += [_bar(span, title, axis, y) for span, title in lane]
    height = max(len(lanes), 1) * LANE_PX + 2 * BAND_PAD_PX
    note = f"{len(tracks)} parts" if len(tracks) > 1 and stage.kind == "fan_out" else ""
    if len(tracks) == spans.MOST_PARTS and Job.objects.filter(stage=stage, part__gte=spans.MOST_PARTS).exists():
        note = f"the first {note}"
    if dropped:
        note += f", {dropped} runs not drawn"
    name = stage.title + (", skipped" if stage.spec.get("skipped") else "")
    timeline.bands.append(Band(top, height, name, note, bool(len(timeline.bands) % 2)))
    timeline.height = top + height


def _titled(track: Track) -> list[tuple[Span, str]]:
    return [(span, f"{track.label} {span.words}, {cells.duration(span.end_s - span.start_s)}") for span in track.spans]


def _shared_lanes(tracks: list[Track]) -> tuple[list[list[tuple[Span, str]]], int]:
    """Put the runs of many jobs into few lanes, first come first served, and say how many found no room.

    The first lane is the wait before the first run; the single waits would fill the picture without telling more.
    """
    runs = sorted(
        ((span, title) for track in tracks for span, title in _titled(track) if span.kind in _RAN),
        key=lambda run: run[0].start_s,
    )
    waits = [span for track in tracks for span in track.spans if span.kind in {"queued", "gate"}]
    lanes: list[list[tuple[Span, str]]] = []
    if waits:
        wait = Span("queued", min(span.start_s for span in waits), max(span.end_s for span in waits), "")
        lanes.append([(wait, f"{len(tracks)} jobs, at least one of which waited for a worker or a gate")])
    first, dropped = len(lanes), 0
    for run in runs:
        free = next((lane for lane in lanes[first:] if lane[-1][0].end_s <= run[0].start_s), None)
        if free is not None:
            free.append(run)
        elif len(lanes) < _MOST_LANES:
            lanes.append([run])
        else:
            dropped += 1
    return lanes, dropped


def _bar(span: Span, title: str, axis: TimeScale, y: float) -> Bar:
    height = _HEIGHTS.get(span.kind, LANE_PX - 4)
    x = LABEL_PX + axis.x(span.start_s)
    # Two pixels at least: a step of some milliseconds must not vanish beside one of a minute.
    width = max(LABEL_PX + axis.x(span.end_s) - x, 2.0)
    return Bar(
        round(x, 1),
        round(y + (LANE_PX - height) / 2, 1),
        round(width, 1),
        height,
        f"{span.kind} {span.does}".strip(),
        title,
    )
