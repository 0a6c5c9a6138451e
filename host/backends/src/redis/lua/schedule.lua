-- `Backend::schedule`: hash, root, topic, records of the call, of the job and `latest`, the client's time, how many ms until
-- the job's deadline or '' (it has none), and the message for that moment as the delayed ones are kept -> 'queued', 'done'

local hash, root, topic, now, left, last = ARGV[2], ARGV[3], ARGV[4], ARGV[8], ARGV[9], ARGV[10]
-- Whatever may be wrong is found before anything is written.
check_topic(topic)
call('HEXISTS', record(hash), 'value')
is_over(root)
if left ~= '' then call('ZCARD', P .. 'brrr:delayed:' .. topic) end
call('HSET', record(hash), 'call', ARGV[5])
-- Never replaced: a client that repeats itself must not revive a job that is over.
call('HSETNX', job_record(root), 'job', ARGV[6])
call('HSET', record(hash), 'latest', ARGV[7])
if is_over(root) then return 'done' end
if call('HEXISTS', record(hash), 'value') == 1 then
  mark_over(root, end_in_job(hash, root), now)
  return 'done'
end
count(root, left == '' and 1 or 2)
send(topic, root, hash)
if left == '0' then
  send(topic, root, hash)
elseif left ~= '' then
  local time = call('TIME')
  call('ZADD', P .. 'brrr:delayed:' .. topic, time[1] * 1000 + math.floor(time[2] / 1000) + left, last)
end
return 'queued'
