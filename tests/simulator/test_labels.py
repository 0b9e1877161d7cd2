"""The columns of a simulated cohort are true of the heart and of the recording beside them."""

from __future__ import annotations

from dataclasses import replace

from cardioloom.api.simulating import labels_of
from cardioloom.simulator import Ischaemia, draw, ecg_truth
from simulated import healthy


def test_premature_beats_are_counted_in_the_recording_of_the_study():
    heart = healthy(2, pvc_burden=0.2, pac_burden=0.2)
    counted = set()
    for study in range(4):
        kinds = list(ecg_truth(heart, recording=study)["kind"])
        labels = labels_of(heart, heart, study)
        assert (labels["pvc_count"], labels["pac_count"]) == (kinds.count("pvc"), kinds.count("pac"))
        counted.add((labels["pvc_count"], labels["pac_count"]))
    assert len(counted) > 1


def test_the_culprit_of_an_infarct():
    heart = draw(3, 0)
    plain = labels_of(heart, heart)
    assert (plain["ischaemia_culprit"], plain["ischaemia_occluded"], plain["infarct_type"]) == ("none", 0.0, "none")
    for occluded, elevates, kind in ((True, True, "STEMI"), (True, False, "NSTEMI"), (False, True, "NSTEMI")):
        ill = replace(heart, ischaemia=Ischaemia("posterior", occluded, 0.5, 2.0, elevates))
        found = labels_of(ill, ill)
        assert (found["ischaemia_culprit"], found["infarct_type"]) == ("LCX", kind)
        assert found["ischaemia_occluded"] == float(occluded)
