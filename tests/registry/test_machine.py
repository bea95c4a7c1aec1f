"""The registry compared with a model, a plain dictionary, whatever two writers do in turn.

The dictionary is ``{"evaluations": {number: [rows, …]}, "aliases": {name: [number, …]}}``. Contents are kept
separately. A new kind of event needs a rule that changes registry and dictionary alike, and a rule for its refusal.
"""

import copy
import shutil
import tempfile
from itertools import takewhile

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule

from gamesales.errors import NothingPromotedError, UnknownVersionError
from gamesales.registry import registry as registry_module
from gamesales.registry.index import EVENTS_PER_CHECKPOINT
from gamesales.registry.refs import Ref
from support.operations import EVALUATION, open_registry
from support.sampling import many

MODEL = "game-earnings"
ALIASES = st.sampled_from(["champion", "on_trial"])
WRITERS = st.sampled_from([0, 1])
# Changes of a kind in one step, so that short examples reach deep stacks and long histories.
MOST = 6


def as_model(state):
    """Return a state of the registry in the form of the model."""
    return {
        "evaluations": {
            number: [evaluation.rows for evaluation in version.read_evaluations()]
            for number, version in state.read_versions().items()
        },
        "aliases": state.read_alias_stacks(),
    }


class RegistryMachine(RuleBasedStateMachine):
    """Two writers of one registry, and the invariants after each step."""

    versions = Bundle("versions")

    @initialize(interval=st.sampled_from([4, EVENTS_PER_CHECKPOINT]))
    def begin(self, interval):
        """Start with few or with many events between checkpoints."""
        registry_module.EVENTS_PER_CHECKPOINT = interval
        self.root = tempfile.mkdtemp()
        self.writers = [open_registry(self.root), open_registry(self.root)]
        self.contents = {}
        self.model = {"evaluations": {}, "aliases": {}}
        self.past = []  # the model before the first event, after it, and so on
        self.record_model()

    def teardown(self):
        registry_module.EVENTS_PER_CHECKPOINT = EVENTS_PER_CHECKPOINT
        shutil.rmtree(getattr(self, "root", ""), ignore_errors=True)

    def record_model(self):
        """Keep a copy of the model after one more event."""
        self.past.append(copy.deepcopy(self.model))

    def judge(self, state, version):
        """Agree. The state must be the state just before the event."""
        assert self.model == as_model(state)
        return {"version": version.number, "events": len(self.past) - 1}

    def stack_of(self, alias):
        return self.model["aliases"].get(alias, [])

    # Changes

    @rule(target=versions, writer=WRITERS, content=st.binary(max_size=8))
    def publish(self, writer, content):
        number = self.writers[writer].publish({"scorer.onnx": content}, {"seed": 7}, "")
        assert len(self.contents) + 1 == number
        self.contents[number] = content
        self.model["evaluations"][number] = []
        self.record_model()
        return number

    @rule(writer=WRITERS, number=versions, more=st.lists(st.integers(0, 2**40), min_size=1, max_size=MOST))
    def record_evaluations(self, writer, number, more):
        for rows in more:
            self.record_evaluation(writer, number, rows)

    def record_evaluation(self, writer, number, rows):
        self.writers[writer].record_evaluation(number, {**EVALUATION, "rows": rows}, "")
        self.model["evaluations"][number].append(rows)
        self.record_model()

    @rule(writer=WRITERS, alias=ALIASES, number=versions, other_number=versions, times=st.integers(1, MOST))
    def set_alias_in_turn(self, writer, alias, number, other_number, times):
        """Set an alias to two versions in turn."""
        for turn in range(times):
            self.set_alias(writer, alias, other_number if turn % 2 else number, self.judge)

    def set_alias(self, writer, alias, number, judge):
        """Setting an alias to its target writes nothing. The evidence is of the state just before the event."""
        event = self.writers[writer].set_alias(alias, number, "", judge)
        assert (event is None) == (self.stack_of(alias)[-1:] == [number])
        if event:
            assert {"version": number, "events": event.sequence - 1} == event.body["evidence"]
            self.record_alias(alias, [*self.stack_of(alias), number])

    @rule(writer=WRITERS, alias=ALIASES, times=st.integers(1, MOST))
    def roll_back_in_turn(self, writer, alias, times):
        """Without a previous version it is refused."""
        for _ in range(min(times, len(self.stack_of(alias)) - 1)):
            self.roll_back(writer, alias, self.judge)
        if len(self.stack_of(alias)) < 2:
            with pytest.raises(NothingPromotedError if self.contents else UnknownVersionError):
                self.writers[writer].roll_back(alias, "", self.judge)

    def roll_back(self, writer, alias, judge):
        stack = self.stack_of(alias)
        event = self.writers[writer].roll_back(alias, "", judge)
        assert (stack[-1], stack[-2]) == (event.body["previous_version"], event.body["version"])
        assert {"version": stack[-2], "events": event.sequence - 1} == event.body["evidence"]
        self.record_alias(alias, stack[:-1])

    def record_alias(self, alias, stack):
        self.model["aliases"][alias] = stack
        self.record_model()

    # The other writer writes while the first judges

    @rule(writer=WRITERS, alias=ALIASES, number=versions, other_alias=ALIASES, other_number=versions)
    def set_alias_while_another_sets_one(self, writer, alias, number, other_alias, other_number):
        """If both are the same, the slower writer finds nothing to do."""
        if self.stack_of(alias)[-1:] == [number]:
            return
        judge = self.make_judge(lambda: self.set_alias(1 - writer, other_alias, other_number, self.judge))
        self.set_alias(writer, alias, number, judge)

    @precondition(lambda self: any(len(stack) > 1 for stack in self.model["aliases"].values()))
    @rule(writer=WRITERS, number=versions, rows=st.integers(0, 9), data=st.data())
    def roll_back_while_another_evaluates(self, writer, number, rows, data):
        alias = data.draw(st.sampled_from([a for a, stack in sorted(self.model["aliases"].items()) if len(stack) > 1]))
        judge = self.make_judge(lambda: self.record_evaluation(1 - writer, number, rows))
        self.roll_back(writer, alias, judge)

    def make_judge(self, act):
        """Return a judge that acts during its first judgment."""
        acts = [act]

        def judge(state, version):
            evidence = self.judge(state, version)
            if acts:
                acts.pop()()
            return evidence

        return judge

    # Refusals, which write nothing

    @rule(writer=WRITERS, alias=ALIASES, beyond=st.integers(1, 3))
    def name_an_unknown_version(self, writer, alias, beyond):
        registry, number = self.writers[writer], len(self.contents) + beyond
        for call in (
            lambda: registry.set_alias(alias, number, "", self.judge),
            lambda: registry.record_evaluation(number, EVALUATION, ""),
            lambda: registry.resolve(Ref(MODEL, version=number)),
        ):
            with pytest.raises(UnknownVersionError):
                call()

    # Reads

    @rule(writer=WRITERS, number=versions)
    def resolve_a_version(self, writer, number):
        version, bundle = self.writers[writer].resolve(Ref(MODEL, version=number))
        assert (number, self.contents[number]) == (version.number, bundle.read("scorer.onnx"))

    @precondition(lambda self: self.contents)
    @rule(writer=WRITERS, alias=ALIASES)
    def resolve_an_alias(self, writer, alias):
        ref, stack = Ref(MODEL, alias=alias), self.stack_of(alias)
        if stack:
            assert stack[-1] == self.writers[writer].resolve(ref)[0].number
        else:
            with pytest.raises(NothingPromotedError):
                self.writers[writer].resolve(ref)

    @precondition(lambda self: self.contents)
    @rule(writer=WRITERS, data=st.data())
    def look_back(self, writer, data):
        """As of an event, the state equals the model after this event."""
        events = self.writers[writer].read_events()
        time = data.draw(st.sampled_from([event.time for event in events]))
        count = sum(1 for _ in takewhile(lambda event: event.time <= time, events))
        assert self.past[count] == as_model(self.writers[writer].read_state(time))

    # Invariants

    @invariant()
    def both_writers_see_the_model(self):
        for registry in self.writers:
            assert self.model == as_model(registry.read_state())

    @invariant()
    def the_log_has_no_gap_and_all_is_sound(self):
        events = self.writers[0].read_events()
        assert list(range(1, len(self.past))) == [event.sequence for event in events]
        if events:
            assert (len(events), 2 * len(self.contents)) == open_registry(self.root).verify()


class TestRegistryMachine(RegistryMachine.TestCase):
    settings = settings(deadline=None, max_examples=20, stateful_step_count=14)


@pytest.mark.slow
class TestRegistryMachineAtLength(RegistryMachine.TestCase):
    settings = settings(deadline=None, max_examples=many(250, 50), stateful_step_count=20)
