-- `Backend::complete`. Arguments: hash, job id, value, time of the job's end or '', then the arguments of `ack`.

local hash, job_id, value, ended = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
check_job(job_id, ended)
notify_all(hash, function() call('HSETNX', record(hash), 'value', value) end)
if ended ~= '' then mark_over(job_id, end_in_job(hash, job_id), ended) end
ack(ARGV[6], ARGV[7], ARGV[8], ARGV[9])
