-- `Backend::forget_calls`. Arguments: job id, whether the calls had a value, hashes. Returns for each hash whether its
-- records were removed.

local job_id, had_value, forgotten = ARGV[2], ARGV[3] == '1', {}
for n = 4, #ARGV do
  local key = record(ARGV[n])
  local latest = call('HGET', key, 'latest_job')
  read('a latest-job record', 'latest_job', ARGV[n])
  local at = latest and entry(latest, 'job')
  local is_free = call('HEXISTS', key, 'pending_returns') == 0 and (not at or text(latest, at) == job_id)
    and (had_value or call('HEXISTS', key, 'value') == 0)
  if is_free then call('HDEL', key, 'value', 'call', 'latest_job') end
  forgotten[#forgotten + 1] = is_free and 1 or 0
end
return forgotten
