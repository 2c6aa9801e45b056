"""Planning backwards: from a target to the accelerators that meet it.

Each plan asks the estimator about one number of accelerators after another and keeps what meets the target;
none has a formula of time or memory of its own.
"""
