"""Measure, compare, report: data sets, metrics, tasks, significance, reports, gates.

    datasets      records with a split and a checksum
    loaders       data sets from your own files: JSONL, CSV, BEIR folder, SQuAD and CMRC 2018
    judged        which document answers which question of one's own documents; written as a BEIR folder
    retrieval     one way of searching, measured over judged queries
    ranking       nDCG, MRR, recall, precision, MAP, success of ranked lists
    spans         exact match and F1 of answer texts, English (SQuAD) and Chinese (CMRC 2018)
    labels        accuracy, F1, AUROC, average precision, calibration error, Brier score
    selective     risk and coverage of a system that may decline to answer
    significance  bootstrap intervals, paired bootstrap, paired permutation
    tasks         a task = data + a judge; run as a durable job, summed up as a Report
    reports       a report as JSON, as a terminal table and as one HTML page
    gate          current against baseline, with paired significance
    scoreboard    every measured figure of the repository in one page

Every metric is a pure function on numpy arrays that returns one value per record where the metric has
one, so that intervals and paired tests need nothing else. Nothing here imports pandas or scikit-learn.
"""
