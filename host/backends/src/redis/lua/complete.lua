-- `Backend::complete`. Arguments: hash, job id, value, now in ms, '1' if the job ends or '', then the
-- arguments of `ack`, then those of `keep_log`.

local hash, job_id, value, now, ends = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
check_job(job_id, ends)
notify_all(hash, now, function() call('HSETNX', record(hash), 'value', value) end)
keep_log(hash, job_id, ARGV[11], ARGV[12])
if ends ~= '' then mark_over(job_id, end_in_job(hash, job_id), now) end
ack(ARGV[7], ARGV[8], ARGV[9], ARGV[10])
