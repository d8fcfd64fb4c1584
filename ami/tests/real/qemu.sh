#!/bin/sh
# QEMU as `kennel run` starts it, but for what EC2 does and it does not: there is a port into which a disk can be plugged
# later, and a machine without a disk for data where RACK_DATA says so. RACK_QEMU is the program.
case " $* " in *" q35"*) ;; *) exec "$RACK_QEMU" "$@" ;; esac
left=$#
while [ "$left" -gt 0 ]; do
    case "$RACK_DATA $1 ${2-}" in
        "none -drive "*id=data,* | "none -device "*drive=data*) shift 2; left=$((left - 2)) ;;
        *) set -- "$@" "$1"; shift; left=$((left - 1)) ;;
    esac
done
exec "$RACK_QEMU" "$@" -device pcie-root-port,id=later,chassis=1
