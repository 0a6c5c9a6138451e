-- `Backend::schedule`: hash, root, topic, records of the call, of the job and `latest`, the client's time, how many ms until
-- the job's deadline or '' (it has none), and the message for that moment as the delayed ones are kept -> 'queued', 'done', or
-- { task }: the hash stands for a call of that task

local hash, root, topic, now, left, last = ARGV[2], ARGV[3], ARGV[4], ARGV[8], ARGV[9], ARGV[10]
-- Whatever may be wrong is found before anything is written.
check_topic(topic)
local found, task = compare(hash, ARGV[5])
if found == 'other' then return { task } end
call('HEXISTS', record(hash), 'value')
is_over(root)
if left ~= '' then call('ZCARD', P .. 'brrr:delayed:' .. topic) end
if found == 'new' then call('HSET', record(hash), 'call', ARGV[5]) end
-- Never replaced: a client that repeats itself must not revive a job that is over.
if call('HSETNX', job_record(root), 'job', ARGV[6]) == 1 then
  -- Its place in the order of acceptance: microseconds, and behind all others. (As text: numbers lose digits in Lua.)
  local time, jobs = call('TIME'), P .. 'brrr:jobs'
  local place, last = time[1] * 1000000 + time[2], call('ZREVRANGE', jobs, 0, 0, 'WITHSCORES')
  if last[2] and tonumber(last[2]) >= place then place = tonumber(last[2]) + 1 end
  call('ZADD', jobs, 'NX', string.format('%.0f', place), root)
end
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
