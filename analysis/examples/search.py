"""Searches settings with Optuna. Usage: search.py CONFIG JOURNAL TRIALS [--section.key=value ...]

A trial is a run of the program, tested on training samples that are held back. It ends early where its accuracy after
a task is below the median of earlier trials. Any number of these programs share a study through the file JOURNAL.
"""

import json
import re
import subprocess
import sys

import optuna
from optuna.storages.journal import JournalFileBackend

config, journal, trials, *given = sys.argv[1:]


def accuracy(trial):
    settings = {"optimiser.learning_rate": trial.suggest_float("optimiser.learning_rate", 1e-3, 1, log=True),
                "leaky.lambda": trial.suggest_float("leaky.lambda", 0.01, 10, log=True)}
    command = ["orthospike", "run", config, f"--out={journal}.runs/{trial.number}", "--protection.name=leaky",
               "--tasks.held_back_samples=300", *given, *(f"--{key}={value}" for key, value in settings.items())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        tasks = 0
        for line in run.stdout:
            if so_far := re.match(r"ACC ([\d.]+) %", line):
                tasks += 1
                trial.report(float(so_far[1]) / 100, tasks)
                if trial.should_prune():
                    run.terminate()  # it leaves a checkpoint, from which the command goes on
                    raise optuna.TrialPruned
    if run.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {run.returncode}")
    return json.loads(line)["acc"]


study = optuna.create_study(study_name=config, storage=optuna.storages.JournalStorage(JournalFileBackend(journal)),
                            direction="maximize", load_if_exists=True)
study.optimize(accuracy, n_trials=int(trials))
print(json.dumps({"acc": study.best_value, "settings": study.best_params, "trials": len(study.trials)}))
