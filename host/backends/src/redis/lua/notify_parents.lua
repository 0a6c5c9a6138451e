-- `Backend::notify_parents`. Arguments: hash, job id, topic, state, time of the job's end or '', then the arguments of
-- `ack`.

local hash, job_id, topic, state, ended = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
check_job(job_id, ended)
if state == 'completed' then notify_all(hash) else notify_in_job(hash, job_id, topic) end
if ended ~= '' then mark_over(job_id, state, ended) end
ack(ARGV[7], ARGV[8], ARGV[9], ARGV[10])
