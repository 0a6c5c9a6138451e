-- `Backend::fail` (R1, R2). Arguments: hash, job id, topic, failure, time of the job's end or '', then the arguments of
-- `ack`.

local hash, job_id, topic, failure, ended = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
check_job(job_id, ended)
local key = record(hash)
local has_value = call('HEXISTS', key, 'value') == 1
if has_value and call('HEXISTS', key, 'failure/' .. job_id) == 0 then
  notify_all(hash)
else
  notify_in_job(hash, job_id, topic, function() call('HSETNX', key, 'failure/' .. job_id, failure) end)
end
if ended ~= '' then mark_over(job_id, end_in_job(hash, job_id), ended) end
ack(ARGV[7], ARGV[8], ARGV[9], ARGV[10])
