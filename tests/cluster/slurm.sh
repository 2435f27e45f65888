#!/bin/sh
# A Slurm of two nodes, n1 and n2, on this machine, for tests: munged, slurmctld and two slurmd, without root, systemd or cgroups.
#   slurm.sh start DIR   starts it; all its files lie in DIR, which must not exist yet
#   slurm.sh env DIR     prints what to eval before sbatch, srun and scontrol
#   slurm.sh stop DIR    ends its jobs and what `start` started; the files stay
# Status 77: this machine has no Slurm. Ports of the loopback interface are chosen free, so several may run side by side.
# Partitions: low (default) may be preempted by high: SIGTERM, SLURM_TEST_GRACE seconds (default 20), requeued.
set -eu

cpus=4 # as told to Slurm, whatever the machine has
lowest_port=20000
n_ports=12000

say() { printf 'slurm.sh: %s\n' "$*" >&2; }

usage() {
    sed -n '3,5s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

# Debian keeps the daemons where only root's PATH leads.
PATH=$PATH:/usr/sbin:/sbin
need() {
    for program in munged mungekey slurmctld slurmd scontrol sinfo srun sbatch scancel squeue; do
        command -v "$program" >/dev/null 2>&1 || {
            say "there is no $program (Debian: slurmctld slurmd slurm-client munge)"
            exit 77
        }
    done
}

# Sets $port to one where nobody listens now, and that is not in $taken.
free_port() {
    used=$(awk 'FNR > 1 { split($2, part, ":"); print part[2] }' /proc/net/tcp /proc/net/tcp6 2>/dev/null)
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
        port=$((lowest_port + $(od -An -N4 -tu4 /dev/urandom) % n_ports))
        case " $taken " in *" $port "*) continue ;; esac
        printf '%s\n' "$used" | grep -qx "$(printf '%04X' $port)" || return 0
    done
    say "no free port was found"
    exit 1
}

write_config() {
    host=$(uname -n)
    host=${host%%.*}
    me=$(id -un)
    taken=
    for _ in 1 2 3; do
        free_port
        taken="$taken $port"
    done
    # shellcheck disable=SC2086
    set -- $taken
    cat >"$dir/slurm.conf" <<END
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$1
SlurmUser=$me
SlurmdUser=$me
AuthType=auth/munge
# Also how long a requeued job waits before it starts again: short, yet long enough for a machine that is busy with something else.
AuthInfo=socket=$dir/munge.socket,cred_expire=15
CredType=cred/munge
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool_%n
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd_%n.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd_%n.log
# The pmix plug-ins of the two nodes keep their files apart.
TmpFS=$dir/tmp_%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
KillWait=5
InactiveLimit=0
MailProg=/bin/true
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,bf_interval=1,sched_interval=1,sched_min_interval=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=$2 CPUs=$cpus State=UNKNOWN
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=$3 CPUs=$cpus State=UNKNOWN
PartitionName=low Nodes=n1,n2 Default=YES MaxTime=60 PriorityTier=1 PreemptMode=REQUEUE GraceTime=${SLURM_TEST_GRACE:-20}
PartitionName=high Nodes=n1,n2 MaxTime=60 PriorityTier=2 PreemptMode=OFF
END
}

# alive FILE PROGRAM: the pid in a pid file, when it is still that of the program.
alive() {
    [ -s "$1" ] || return 1
    read -r pid <"$1" || [ -n "$pid" ] || return 1
    exe=$(readlink "/proc/$pid/exe" 2>/dev/null) || return 1
    case ${exe##*/} in "$2"*) ;; *) return 1 ;; esac
}

# until SECONDS COMMAND...: tries it until it succeeds.
until_true() {
    tries=$(($1 * 10))
    shift
    while ! "$@"; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || return 1
        sleep 0.1
    done
}

ended() { ! alive "$@"; }
no_jobs() { [ -z "$(squeue -h -o %i 2>/dev/null)" ]; }
idle() { [ "$(sinfo -h -N -p low -t idle -o %N 2>/dev/null | wc -l)" -eq 2 ]; }

# end FILE PROGRAM: of what a pid file names.
end() {
    alive "$1" "$2" || return 0
    kill "$pid" 2>/dev/null || return 0
    until_true 10 ended "$1" "$2" || kill -9 "$pid" 2>/dev/null || :
    rm -f "$1"
}

end_slurm() {
    for name in slurmd_n1 slurmd_n2; do
        end "$dir/$name.pid" slurmd
    done
    end "$dir/slurmctld.pid" slurmctld
}

start_slurm() {
    write_config
    # A plug-in that nobody uses: else slurmd looks for one and does not start where there are no cgroups.
    echo CgroupPlugin=cgroup/v1 >"$dir/cgroup.conf"
    rm -rf "$dir/state"
    mkdir "$dir/state"
    SLURM_CONF=$dir/slurm.conf
    export SLURM_CONF
    slurmctld -f "$SLURM_CONF" >>"$dir/start.log" 2>&1 || return 1
    for name in n1 n2; do
        slurmd -N $name -f "$SLURM_CONF" >>"$dir/start.log" 2>&1 || return 1
    done
    until_true 20 idle
}

start() {
    need
    [ ${#dir} -le 80 ] || { say "$dir: too long a name for the sockets in it"; exit 1; }
    mkdir -p "$(dirname "$dir")"
    mkdir "$dir" || { say "$dir: one starts in a folder of its own"; exit 1; }
    chmod 755 "$dir"
    mkdir "$dir/spool_n1" "$dir/spool_n2" "$dir/tmp_n1" "$dir/tmp_n2"
    mungekey --create --keyfile "$dir/munge.key"
    # --force: the folders above may be closed to other users.
    munged --force --key-file="$dir/munge.key" --socket="$dir/munge.socket" --pid-file="$dir/munged.pid" \
        --log-file="$dir/munged.log" --seed-file="$dir/munged.seed" --num-threads=2 >"$dir/start.log" 2>&1 || {
        sed 's/^/  /' "$dir/start.log" "$dir/munged.log" >&2
        say "munged does not start"
        exit 1
    }
    # Somebody else may have taken a port between the choice and its use.
    for _ in 1 2 3; do
        ! start_slurm || return 0
        end_slurm
    done
    tail -n 5 "$dir"/*.log >&2
    end "$dir/munged.pid" munged
    say "Slurm does not start"
    exit 1
}

stop() {
    [ -f "$dir/slurm.conf" ] || return 0
    SLURM_CONF=$dir/slurm.conf
    export SLURM_CONF
    if alive "$dir/slurmctld.pid" slurmctld; then
        for job in $(squeue -h -o %A 2>/dev/null); do
            scancel --full "$job" 2>/dev/null || :
        done
        until_true 20 no_jobs || say "jobs are still there"
    fi
    end_slurm
    end "$dir/munged.pid" munged
}

# Both nodes bear this machine's name, so Open MPI must not take them for one with shared memory; and they have the same cores, which
# neither must share out as if they were its own.
print_env() {
    cat <<END
export SLURM_CONF='$dir/slurm.conf'
export OMPI_MCA_btl=tcp,self OMPI_MCA_btl_tcp_if_include=lo
export MUSTER_BIND=none
END
}

[ $# -eq 2 ] || usage
case $2 in /*) dir=$2 ;; *) dir=$(pwd)/$2 ;; esac
case $1 in
start | stop) "$1" ;;
env) print_env ;;
*) usage ;;
esac
