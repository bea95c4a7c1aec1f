"""The registry against a model that is a plain dictionary: whatever two writers do in turn, both say the same.

The dictionary is ``{"evaluations": {number: [rows, …]}, "aliases": {name: [number, …]}}``; contents are kept beside it.
A new kind of event gets a rule that changes registry and dictionary alike, and a rule for when it is refused.
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
from gamesales.registry.refs import Ref
from support.operations import EVALUATION, open_registry

MODEL = "game-earnings"
ALIASES = st.sampled_from(["champion", "challenger", "on_trial"])
WRITERS = st.sampled_from([0, 1])


def told(state):
    """Tell a state of the registry as the model tells it."""
    return {
        "evaluations": {
            number: [one.rows for one in version.evaluations] for number, version in state.versions.items()
        },
        "aliases": state.aliases,
    }


class RegistryMachine(RuleBasedStateMachine):
    """Two writers at one registry, and what must hold after each step."""

    versions = Bundle("versions")

    @initialize()
    def begin(self):
        self.root = tempfile.mkdtemp()
        self.writers = [open_registry(self.root), open_registry(self.root)]
        self.contents = {}
        self.model = {"evaluations": {}, "aliases": {}}
        self.past = []  # what the model was before the first event, after it, and so on
        self.happened()

    def teardown(self):
        shutil.rmtree(getattr(self, "root", ""), ignore_errors=True)

    def happened(self):
        """Keep what the model is after one more event."""
        self.past.append(copy.deepcopy(self.model))

    def judge(self, state, version):
        """Agree, if the judge is shown the very state that the event comes after."""
        assert self.model == told(state)
        return {"version": version.number, "events": len(self.past) - 1}

    def stack(self, alias):
        return self.model["aliases"].get(alias, [])

    # What changes the registry

    @rule(target=versions, writer=WRITERS, content=st.binary(max_size=8))
    def publish(self, writer, content):
        number = self.writers[writer].publish({"scorer.onnx": content}, {"seed": 7}, "")
        assert len(self.contents) + 1 == number
        self.contents[number] = content
        self.model["evaluations"][number] = []
        self.happened()
        return number

    @rule(writer=WRITERS, number=versions, rows=st.integers(0, 2**40))
    def record_evaluation(self, writer, number, rows):
        self.writers[writer].record_evaluation(number, {**EVALUATION, "rows": rows}, "")
        self.model["evaluations"][number].append(rows)
        self.happened()

    @rule(writer=WRITERS, alias=ALIASES, number=versions)
    def set_alias(self, writer, alias, number):
        """Setting what is set already writes nothing."""
        event = self.writers[writer].set_alias(alias, number, "", self.judge)
        assert (event is None) == (self.stack(alias)[-1:] == [number])
        if event:
            assert {"version": number, "events": event.sequence - 1} == event.body["evidence"]
            self.moved(alias, [*self.stack(alias), number])

    @rule(writer=WRITERS, alias=ALIASES)
    def roll_back(self, writer, alias):
        """Without anything to roll back to it is refused."""
        stack = self.stack(alias)
        if len(stack) < 2:
            with pytest.raises(NothingPromotedError if self.contents else UnknownVersionError):
                self.writers[writer].roll_back(alias, "", self.judge)
        else:
            event = self.writers[writer].roll_back(alias, "", self.judge)
            assert (stack[-1], stack[-2]) == (event.body["previous_version"], event.body["version"])
            self.moved(alias, stack[:-1])

    def moved(self, alias, stack):
        self.model["aliases"][alias] = stack
        self.happened()

    # The other writer comes in between: while one judges, another has written already

    @rule(writer=WRITERS, alias=ALIASES, number=versions, other_alias=ALIASES, other_number=versions)
    def set_alias_while_another_sets_one(self, writer, alias, number, other_alias, other_number):
        """If both are the same, the second to come finds nothing to do."""
        if self.stack(alias)[-1:] == [number]:
            return
        judged = self.judged_after(lambda: self.set_alias(1 - writer, other_alias, other_number))
        event = self.writers[writer].set_alias(alias, number, "", judged)
        assert (event is None) == (self.stack(alias)[-1:] == [number])
        if event:
            self.moved(alias, [*self.stack(alias), number])

    @precondition(lambda self: any(len(stack) > 1 for stack in self.model["aliases"].values()))
    @rule(writer=WRITERS, number=versions, rows=st.integers(0, 9), data=st.data())
    def roll_back_while_another_evaluates(self, writer, number, rows, data):
        alias = data.draw(st.sampled_from([a for a, stack in sorted(self.model["aliases"].items()) if len(stack) > 1]))
        judged = self.judged_after(lambda: self.record_evaluation(1 - writer, number, rows))
        self.writers[writer].roll_back(alias, "", judged)
        self.moved(alias, self.stack(alias)[:-1])

    def judged_after(self, act):
        """Return a judge during whose first judgement somebody acts."""
        acts = [act]

        def judge(state, version):
            evidence = self.judge(state, version)
            if acts:
                acts.pop()()
            return evidence

        return judge

    # What is refused, and leaves no trace

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

    # What only looks

    @rule(writer=WRITERS, number=versions)
    def resolve_a_version(self, writer, number):
        version, bundle = self.writers[writer].resolve(Ref(MODEL, version=number))
        assert (number, self.contents[number]) == (version.number, bundle.read("scorer.onnx"))

    @precondition(lambda self: self.contents)
    @rule(writer=WRITERS, alias=ALIASES)
    def resolve_an_alias(self, writer, alias):
        ref, stack = Ref(MODEL, alias=alias), self.stack(alias)
        if stack:
            assert stack[-1] == self.writers[writer].resolve(ref)[0].number
        else:
            with pytest.raises(NothingPromotedError):
                self.writers[writer].resolve(ref)

    @precondition(lambda self: self.contents)
    @rule(writer=WRITERS, data=st.data())
    def look_back(self, writer, data):
        """As of an event the state is what the model was after it, and what came later does not show."""
        events = self.writers[writer].events()
        time = data.draw(st.sampled_from([event.time for event in events]))
        count = sum(1 for _ in takewhile(lambda event: event.time <= time, events))
        assert self.past[count] == told(self.writers[writer].state(time))

    # What always holds

    @invariant()
    def both_writers_see_the_model(self):
        for registry in self.writers:
            assert self.model == told(registry.state())

    @invariant()
    def the_log_has_no_gap_and_all_is_sound(self):
        events = self.writers[0].events()
        assert list(range(1, len(self.past))) == [event.sequence for event in events]
        if events:
            assert (len(events), 2 * len(self.contents)) == open_registry(self.root).verify()


class TestRegistryMachine(RegistryMachine.TestCase):
    settings = settings(deadline=None, max_examples=20, stateful_step_count=25)


@pytest.mark.slow
class TestRegistryMachineAtLength(RegistryMachine.TestCase):
    settings = settings(deadline=None, max_examples=100, stateful_step_count=50)
