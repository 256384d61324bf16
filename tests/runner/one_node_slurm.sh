#!/usr/bin/env bash
# A Slurm of one node on this machine, for tests: one_node_slurm.sh start|stop FOLDER. As root, with Debian's slurmctld, slurmd,
# slurm-client and munge. Everything it writes is in FOLDER, the key of munge apart.
set -euo pipefail
action=$1 folder=$2

wait_for() {
    for _ in $(seq 100); do "$@" >/dev/null 2>&1 && return; sleep 0.2; done
    echo "gave up on: $*" >&2; tail -n 20 "$folder"/*.log >&2; exit 1
}

case $action in
start)
    mkdir -p "$folder/state" "$folder/spool" /run/munge
    [ -s /etc/munge/munge.key ] || { (umask 077; dd if=/dev/urandom of=/etc/munge/munge.key bs=1 count=1024 status=none); }
    chown -R munge: /etc/munge /run/munge
    if ! munge -n >/dev/null 2>&1; then
        su munge -s /bin/sh -c "munged --force --log-file=/tmp/munged-$$.log"
        touch "$folder/munged-is-ours"
    fi
    host=$(hostname -s)
    cat >"$folder/slurm.conf" <<CONF
ClusterName=vdmbench
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
SlurmctldPort=17817
SlurmdPort=17818
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobRequeue=1
MinJobAge=600
SchedulerParameters=sched_interval=2,requeue_setup_env_fail
ReturnToService=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=tests Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
    export SLURM_CONF="$folder/slurm.conf"
    slurmctld -c
    slurmd -c
    wait_for sh -c 'sinfo --noheader --format=%T | grep -q idle'
    ;;
stop)
    export SLURM_CONF="$folder/slurm.conf"
    scancel --me || true
    for _ in $(seq 50); do [ -z "$(squeue --me --noheader)" ] && break; sleep 1; done
    for daemon in slurmd slurmctld; do
        [ -s "$folder/$daemon.pid" ] || continue
        pid=$(cat "$folder/$daemon.pid")
        kill "$pid" || true
        for _ in $(seq 50); do kill -0 "$pid" 2>/dev/null || break; sleep 0.2; done
        kill -9 "$pid" 2>/dev/null || true
    done
    if [ -e "$folder/munged-is-ours" ]; then kill "$(cat /run/munge/munged.pid)" || true; fi
    ;;
esac
