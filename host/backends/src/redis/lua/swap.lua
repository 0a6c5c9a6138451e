-- `Store::swap`. Arguments: key, field, call of a `pending_returns` record or '', then '1' and the expected value or
-- '0' and '', then '1' and the new value or '0' and '', then the id and the set of the ids of its kind, or '' and ''.
-- Returns whether the value was replaced, and otherwise the value that was found.

local key, field, hash, expected, new = ARGV[2], ARGV[3], ARGV[4], nil, nil
if ARGV[5] == '1' then expected = ARGV[6] end
if ARGV[7] == '1' then new = ARGV[8] end
local found = call('HGET', key, field) or nil
if found and hash ~= '' and byte(found, 1) == 42 then found = unless_damaged(found, function() return encoded_pending(pending(hash)) end) end
if found ~= expected then return { 0, found } end
-- The set comes first: if another program has put something else there, nothing is written.
if ARGV[10] ~= '' and new then call('ZADD', ARGV[10], 0, ARGV[9]) end
if ARGV[10] ~= '' and not new then call('ZREM', ARGV[10], ARGV[9]) end
if new then call('HSET', key, field, new) else call('HDEL', key, field) end
if hash ~= '' then drop_set(hash) end
return { 1 }
