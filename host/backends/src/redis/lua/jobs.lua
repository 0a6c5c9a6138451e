-- `Store::jobs`. Arguments: 'new' (newest first) or 'old', the first and the last score of the range (in the notation of
-- ZRANGEBYSCORE), the most jobs, the most entries to look at, how many sets a job must be in, these sets, and then the sets that it
-- must not be in. Returns { score at which the next page begins or '', { id, score, record, … } }.

local newest, from, to, limit, most = ARGV[2] == 'new', ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local count = tonumber(ARGV[7])

-- The smallest set is walked through.
local smallest, size = nil, nil
for n = 8, 7 + count do
  local members = call('ZCARD', ARGV[n])
  if not size or members < size then smallest, size = n, members end
end

local function matches(id)
  for n = 8, #ARGV do
    local is_in = n <= 7 + count
    if n ~= smallest and (call('ZSCORE', ARGV[n], id) and true or false) ~= is_in then return false end
  end
  return true
end

local found, looked_at, last = {}, 0, ''
while true do
  local left = math.min(limit - #found / 3, most - looked_at)
  if left < 1 then return { last, found } end
  -- If nothing is filtered out, the page has no more than what is left.
  local size = #ARGV == 8 and left or math.max(left, math.min(500, most - looked_at))
  local page
  if newest then
    page = call('ZREVRANGEBYSCORE', ARGV[smallest], to, from, 'WITHSCORES', 'LIMIT', 0, size)
  else
    page = call('ZRANGEBYSCORE', ARGV[smallest], from, to, 'WITHSCORES', 'LIMIT', 0, size)
  end
  for n = 1, #page, 2 do
    if #found >= 3 * limit then return { last, found } end
    local id, score = page[n], page[n + 1]
    looked_at, last = looked_at + 1, score
    if newest then to = '(' .. score else from = '(' .. score end
    -- A record that was removed may still be in a set.
    local bytes = matches(id) and fields(job_record(id), 'job')[1]
    if bytes then
      found[#found + 1], found[#found + 2], found[#found + 3] = id, score, bytes
    end
  end
  if #page < 2 * size then return { '', found } end
end
