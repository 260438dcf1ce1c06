# The agent of a guest. Reads `run ID` and `kill ID` from the line, runs the commands that wait in
# /run/lab, each in a process group of its own, and answers `done ID STATUS`.
cd /
set -m
exec 3<>/dev/ttyS0 </dev/null
echo ready >&3
while read -r agent_verb agent_id <&3; do
    case $agent_verb in
    run)
        (
            (
                exec 3>&-
                . "/run/lab/$agent_id.command"
            ) >"/run/lab/$agent_id.stdout" 2>"/run/lab/$agent_id.stderr"
            echo "done $agent_id $?" >&3
        ) &
        eval "agent_group_$agent_id=$!"
        ;;
    kill)
        eval "kill -s KILL -- -\$agent_group_$agent_id"
        echo "done $agent_id 137" >&3
        ;;
    esac
done
