-- `Backend::fail` (R1, R2). Arguments: hash, job id, topic, failure, now in ms, '1' if the job ends or '', then the
-- arguments of `ack`, then those of `keep_log`.

local hash, job_id, topic, failure, now, ends = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
check_job(job_id, ends)
local key = record(hash)
local has_value = call('HEXISTS', key, 'value') == 1
if has_value and call('HEXISTS', key, 'failure/' .. job_id) == 0 then
  notify_all(hash, now)
else
  notify_in_job(hash, job_id, topic, now, function() call('HSETNX', key, 'failure/' .. job_id, failure) end)
end
keep_log(hash, job_id, ARGV[12], ARGV[13])
if ends ~= '' then mark_over(job_id, end_in_job(hash, job_id), now) end
ack(ARGV[8], ARGV[9], ARGV[10], ARGV[11])
