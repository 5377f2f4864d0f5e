#!/bin/bash
# Run a command inside a SLURM cluster of one node, this machine, and take the cluster down afterwards.
#
#   tests/slurm/single_node.sh sinfo
#   tests/slurm/single_node.sh snakemake --profile profiles/slurm
#
# Needs Debian's slurmctld, slurmd, slurm-client and munge; no root, no systemd, no cgroups. Configuration, key, state
# and logs live in a temporary folder; the daemons listen on the loopback address only. The node offers one make-believe
# GPU (/dev/null), so that requests for a GPU can be checked; SLURM does not limit here what a job really uses.
set -euo pipefail

[ $# -gt 0 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2; }

PATH=$PATH:/usr/sbin
user=$(id -un)
host=$(hostname -s)
folder=$(mktemp -d "${TMPDIR:-/tmp}/slurm-XXXXXX")
chmod 755 "$folder"
mkdir "$folder"/{bin,etc,munge,state,spool,log}
export SLURM_CONF=$folder/etc/slurm.conf
daemons=()

stop() {
  trap - EXIT
  scancel --user="$user" 2> /dev/null || true
  for ((i = 0; i < 50; i++)); do [ -n "$(squeue --noheader 2> /dev/null)" ] || break; sleep 0.2; done
  for ((i = ${#daemons[@]} - 1; i >= 0; i--)); do
    kill "${daemons[i]}" 2> /dev/null || true
    wait "${daemons[i]}" 2> /dev/null || true
  done
  rm -rf "$folder"
}

start() {  # NAME COMMAND...: run a daemon in the foreground of a background shell, its words in a log
  local name=$1
  shift
  "$@" > "$folder/log/$name" 2>&1 < /dev/null &
  daemons+=($!)
}

give_up() {
  echo "single_node.sh: $1" >&2
  tail -n 20 "$folder"/log/* >&2
  exit 1
}

trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

read -r controller_port node_port < <(python3 -c '
import socket
ports = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(port.getsockname()[1] for port in ports))')
read -r _ cpus memory < <(slurmd -C | sed -nE 's/^NodeName=(\S+) CPUs=([0-9]+) .*RealMemory=([0-9]+).*/\1 \2 \3/p')

head -c 1024 /dev/urandom > "$folder/munge/key"
chmod 400 "$folder/munge/key"
cat > "$folder/etc/gres.conf" << END
Name=gpu File=/dev/null
END
cat > "$SLURM_CONF" << END
ClusterName=single
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$controller_port
SlurmdPort=$node_port
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/state/slurmctld.pid
SlurmdPidFile=$folder/spool/slurmd.pid
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
ReturnToService=2
GresTypes=gpu
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cpus RealMemory=$memory Gres=gpu:1
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE
END

# Snakemake's jobstep plugin drops SLURM_CONF before it calls srun, so srun has to bring it along.
printf '#!/bin/sh\nSLURM_CONF=%s exec %s "$@"\n' "$SLURM_CONF" "$(command -v srun)" > "$folder/bin/srun"
chmod 755 "$folder/bin/srun"
export PATH=$folder/bin:$PATH

start munged munged --foreground --num-threads=2 --key-file="$folder/munge/key" --socket="$folder/munge/socket" \
  --pid-file="$folder/munge/pid" --log-file="$folder/munge/log" --seed-file="$folder/munge/seed"
for ((i = 0; i < 50; i++)); do [ ! -S "$folder/munge/socket" ] || break; sleep 0.1; done
start slurmctld slurmctld -D
start slurmd slurmd -D -N "$host"
for ((i = 0; i < 150; i++)); do
  [ "$(sinfo --noheader --format=%T 2> /dev/null)" != idle ] || break
  sleep 0.2
done
[ "$(sinfo --noheader --format=%T 2>&1)" = idle ] || give_up "the node did not come up"

"$@"
