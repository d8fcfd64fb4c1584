# A machine that is emulated takes its time to import Django.
timeout = 300
