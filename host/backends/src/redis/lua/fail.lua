-- `Backend::fail` (R1, R2). Arguments: hash, job id, topic, failure, time of the job's end or '', then the arguments of
-- `ack`.

local hash, root, topic, failure, ended = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
check_job(root, ended)
local key = record(hash)
local has_value = call('HEXISTS', key, 'value') == 1
if has_value and call('HEXISTS', key, 'failure/' .. root) == 0 then
  notify_all(hash)
else
  notify_in_job(hash, root, topic, function() call('HSETNX', key, 'failure/' .. root, failure) end)
end
if ended ~= '' then mark_over(root, end_in_job(hash, root), ended) end
ack(ARGV[7], ARGV[8], ARGV[9], ARGV[10])
