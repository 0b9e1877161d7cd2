"""Every statement that is tried on an ECG: code, name, source, and the function that judges it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cardioloom.measure.features import Features
from cardioloom.measure.statements import (
    atrial,
    av_block,
    conduction,
    ectopy,
    hypertrophy,
    infarction,
    ischaemia,
    pacing,
    pre_excitation,
    repolarisation,
    rhythm,
    ventricular_fibrillation,
)
from cardioloom.measure.statements.case import Case, Verdict, unknown
from cardioloom.measure.statements.snomed import codes
from cardioloom.records import Finding

# Where the criteria were published.
BRADYCARDIA = (
    "ACC/AHA/HRS bradycardia guideline 2018, doi:10.1161/CIR.0000000000000628; 60/min as in the ECG literature"
)
FIBRILLATION = (
    "ESC atrial fibrillation guideline 2020, doi:10.1093/eurheartj/ehaa612; "
    "RR irregularity after Dash et al. 2009, doi:10.1007/s10439-009-9740-z"
)
SVT = "ACC/AHA/HRS supraventricular tachycardia guideline 2015, doi:10.1161/CIR.0000000000000311"
VT = "AHA/ACC/HRS ventricular arrhythmia guideline 2017, doi:10.1161/CIR.0000000000000549"
TERMS = "AHA/ACC/HRS diagnostic statements 2007 (part II), doi:10.1161/CIRCULATIONAHA.106.180201"
CONDUCTION = "AHA/ACCF/HRS 2009, part III, doi:10.1161/CIRCULATIONAHA.108.191095"
REPOLARISATION = "AHA/ACCF/HRS 2009, part IV, doi:10.1161/CIRCULATIONAHA.108.191096"
HYPERTROPHY = "AHA/ACCF/HRS 2009, part V, doi:10.1161/CIRCULATIONAHA.108.191097"
INFARCTION = "fourth universal definition of myocardial infarction 2018, doi:10.1161/CIR.0000000000000617"
SGARBOSSA = "Sgarbossa et al. 1996, doi:10.1056/NEJM199602223340801"
BARCELONA = "Di Marco et al. 2020, doi:10.1161/JAHA.119.015573"
PERICARDITIS = "Ginzton & Laks 1982, doi:10.1161/01.CIR.65.5.1004"
BRUGADA = "HRS/EHRA/APHRS consensus 2013, doi:10.1016/j.hrthm.2013.05.014"
VF = "Kuo & Dillman 1978, Computers in Cardiology, pages 347–349"
SHORT_QT = "ESC ventricular arrhythmia guideline 2015, doi:10.1093/eurheartj/ehv316"


@dataclass(frozen=True)
class Statement:
    """One row of the table; ``snomed`` is None where the Challenge's tables have no code for it."""

    code: str
    name: str
    judge: Callable[[Case], Verdict]
    source: str

    @property
    def snomed(self) -> str | None:
        """SNOMED CT code."""
        return codes().get(self.code)


STATEMENTS: tuple[Statement, ...] = (
    Statement("NSR", "sinus rhythm", rhythm.sinus_rhythm, TERMS),
    Statement("SB", "sinus bradycardia", rhythm.sinus_bradycardia, BRADYCARDIA),
    Statement("STach", "sinus tachycardia", rhythm.sinus_tachycardia, SVT),
    Statement("SA", "sinus arrhythmia", rhythm.sinus_arrhythmia, TERMS),
    Statement("AF", "atrial fibrillation", atrial.fibrillation, FIBRILLATION),
    Statement("AFL", "atrial flutter", atrial.flutter, SVT),
    Statement("SVT", "supraventricular tachycardia", rhythm.narrow_tachycardia, SVT),
    Statement("PAC", "premature atrial contraction", ectopy.premature_atrial, TERMS),
    Statement("SVB", "supraventricular bigeminy", ectopy.atrial_bigeminy, TERMS),
    Statement("PVC", "premature ventricular contraction", ectopy.premature_ventricular, TERMS),
    Statement("VBig", "ventricular bigeminy", ectopy.ventricular_bigeminy, TERMS),
    Statement("VTrig", "ventricular trigeminy", ectopy.ventricular_trigeminy, TERMS),
    Statement("VPVC", "paired ventricular premature complexes", ectopy.ventricular_pairs, TERMS),
    Statement("VTach", "ventricular tachycardia", ectopy.ventricular_tachycardia, VT),
    Statement("VF", "ventricular fibrillation", ventricular_fibrillation.fibrillation, VF),
    Statement("PAUSE", "pause", rhythm.pause, BRADYCARDIA),
    Statement("PR", "pacing rhythm", pacing.pacing_rhythm, TERMS),
    Statement("IAVB", "first degree atrioventricular block", av_block.first_degree, BRADYCARDIA),
    Statement("IIAVB", "second degree atrioventricular block", av_block.second_degree, BRADYCARDIA),
    Statement("CHB", "complete heart block", av_block.third_degree, BRADYCARDIA),
    Statement("RBBB", "right bundle branch block", conduction.right_bundle, CONDUCTION),
    Statement("IRBBB", "incomplete right bundle branch block", conduction.incomplete_right_bundle, CONDUCTION),
    Statement("LBBB", "left bundle branch block", conduction.left_bundle, CONDUCTION),
    Statement("LAnFB", "left anterior fascicular block", conduction.left_anterior, CONDUCTION),
    Statement("LPFB", "left posterior fascicular block", conduction.left_posterior, CONDUCTION),
    Statement("NSIVCB", "nonspecific intraventricular conduction delay", conduction.unspecific_delay, CONDUCTION),
    Statement("WPW", "pre-excitation", pre_excitation.pre_excitation, CONDUCTION),
    Statement("LAD", "left axis deviation", conduction.left_axis, CONDUCTION),
    Statement("RAD", "right axis deviation", conduction.right_axis, CONDUCTION),
    Statement("LVH", "left ventricular hypertrophy", hypertrophy.left_ventricle, HYPERTROPHY),
    Statement("RVH", "right ventricular hypertrophy", hypertrophy.right_ventricle, HYPERTROPHY),
    Statement("LQRSV", "low QRS voltages", hypertrophy.low_voltage, HYPERTROPHY),
    Statement("LQT", "prolonged QT interval", repolarisation.long_qt, REPOLARISATION),
    Statement("SQT", "short QT interval", repolarisation.short_qt, SHORT_QT),
    Statement("TInv", "T wave inversion", repolarisation.t_inversion, REPOLARISATION),
    Statement("STE", "ST elevation", ischaemia.st_elevation, INFARCTION),
    Statement("STD", "ST depression", ischaemia.st_depression, INFARCTION),
    Statement("QAb", "abnormal Q waves", infarction.q_waves, INFARCTION),
    Statement("MI", "pattern of myocardial infarction", infarction.any_infarction, INFARCTION),
    Statement("AnMI", "pattern of anterior infarction", infarction.anterior, INFARCTION),
    Statement("IMI", "pattern of inferior infarction", infarction.inferior, INFARCTION),
    Statement("LMI", "pattern of lateral infarction", infarction.lateral, INFARCTION),
    Statement("SGARBOSSA", "infarction in left bundle branch block (Sgarbossa)", infarction.sgarbossa, SGARBOSSA),
    Statement("BARCELONA", "infarction in left bundle branch block (Barcelona)", infarction.barcelona, BARCELONA),
    Statement("PERI", "pattern of pericarditis", ischaemia.pericarditis, PERICARDITIS),
    Statement("BRU", "Brugada pattern, type 1", ischaemia.brugada, BRUGADA),
)


def judge(features: Features) -> tuple[Finding, ...]:
    """Try every statement of the table on one ECG.

    Args:
        features: the quantities of one ECG that fits in memory.

    Returns:
        one finding a statement, in the table's order: present, absent, or (None) not judgeable with the reason as
        its evidence.
    """
    case = Case(features)
    fibrillate = case.says(ventricular_fibrillation.fibrillation)
    return tuple(_finding(statement, case, fibrillate) for statement in STATEMENTS)


def _finding(statement: Statement, case: Case, fibrillate: bool) -> Finding:
    if fibrillate and statement.judge is not ventricular_fibrillation.fibrillation:
        verdict = unknown("the ventricles fibrillate: there is no beat to judge")
    else:
        verdict = case.once(statement.judge)
    return Finding(
        code=statement.code,
        name=statement.name,
        present=verdict.present,
        source=f"criteria: {statement.source}",
        evidence=verdict.evidence,
        spans_s=verdict.spans_s,
        snomed=statement.snomed,
    )
