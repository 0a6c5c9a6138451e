-- `Backend::notify_parents`. Arguments: hash, job id, topic, state, now in ms, '1' if the job ends or '', then the
-- arguments of `ack`.

local hash, job_id, topic, state, now, ends = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
check_job(job_id, ends)
if state == 'completed' then notify_all(hash, now) else notify_in_job(hash, job_id, topic, now) end
if ends ~= '' then mark_over(job_id, state, now) end
ack(ARGV[8], ARGV[9], ARGV[10], ARGV[11])
